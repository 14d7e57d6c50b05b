//! What is told of single messages on their way, to whoever collects it. Off, it costs one look at an `Option`.

use std::borrow::Cow;
use std::fmt::Debug;
use std::time::SystemTime;

use roomcast_protocol::{Room, TraceContext, TraceParent};

/// Collects spans. Called on the threads of the cores: it must not wait.
pub trait Tracer: Debug + Send + Sync {
    /// Decides whether a publication is traced: as its publisher says, else by chance. Gives the first span.
    fn begin(&self, parent: Option<TraceParent>) -> Option<TraceContext>;

    /// A new span in the trace of another.
    fn child(&self, of: TraceContext) -> TraceContext;

    /// Takes a span that has ended.
    fn record(&self, span: Span);
}

/// One step of a message's way, over.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Its name.
    pub name: &'static str,
    /// What kind of step.
    pub kind: SpanKind,
    /// Itself.
    pub context: TraceContext,
    /// What has caused it.
    pub parent: Option<[u8; 8]>,
    /// From when.
    pub begin: SystemTime,
    /// Until when.
    pub end: SystemTime,
    /// Why it failed, in a word.
    pub error: Option<&'static str>,
    /// What else is known. Never payloads, tokens, users or names of rooms.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// Which side of a step this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Something that a client has asked for.
    Server,
    /// Handing a message to the broker.
    Producer,
    /// Taking a message from the broker.
    Consumer,
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// A text.
    Text(Cow<'static, str>),
    /// A number.
    Number(i64),
}

/// What stands for all rooms of a namespace.
pub fn room_template(room: &Room) -> Attribute {
    let name = room.as_str();
    Attribute::Text(match name.split_once(':') {
        _ if name.starts_with('@') => Cow::Borrowed("@{user}"),
        Some((namespace, _)) => Cow::Owned(format!("{namespace}:{{room}}")),
        None => Cow::Borrowed("{room}"),
    })
}
