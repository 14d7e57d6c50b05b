//! The spans of one publication, where it is traced.

use std::time::SystemTime;

use roomcast_broker::BrokerError;
use roomcast_hub::trace::{Attribute, Span, SpanKind, Tracer, room_template};
use roomcast_protocol::{Publication, TraceContext, TraceParent};

/// A publication on its way to the broker: a span for what was asked, and one in it for the broker.
pub(crate) struct PublishTrace<'a> {
    tracer: &'a dyn Tracer,
    asked: TraceContext,
    parent: Option<[u8; 8]>,
    broker: TraceContext,
    begin: SystemTime,
    attributes: Vec<(&'static str, Attribute)>,
}

impl<'a> PublishTrace<'a> {
    /// Begins the spans, if this one is traced.
    pub(crate) fn begin(
        tracer: &'a dyn Tracer,
        parent: Option<TraceParent>,
        publication: &Publication,
    ) -> Option<Self> {
        let asked = tracer.begin(parent)?;
        let attributes = vec![
            ("messaging.system", Attribute::Text("roomcast".into())),
            ("messaging.destination.template", room_template(&publication.room)),
            ("messaging.message.body.size", Attribute::Number(publication.payload.bytes.len() as i64)),
        ];
        let broker = tracer.child(asked);
        let parent = parent.map(|parent| parent.context.span_id);
        Some(Self { tracer, asked, parent, broker, begin: SystemTime::now(), attributes })
    }

    /// What the message carries to those who fan it out.
    pub(crate) fn context(&self) -> TraceContext {
        self.broker
    }

    /// The broker has answered, or has not.
    pub(crate) fn end<T>(self, answer: &Result<T, BrokerError>) {
        let error = answer.as_ref().err().map(|error| error.kind().as_str());
        let (begin, end) = (self.begin, SystemTime::now());
        let broker = Span {
            name: "broker",
            kind: SpanKind::Producer,
            context: self.broker,
            parent: Some(self.asked.span_id),
            begin,
            end,
            error,
            attributes: self.attributes.clone(),
        };
        self.tracer.record(broker);
        let (context, parent, attributes) = (self.asked, self.parent, self.attributes);
        let name = "publish";
        self.tracer.record(Span {
            name,
            kind: SpanKind::Server,
            context,
            parent,
            begin,
            end,
            error,
            attributes,
        });
    }
}
