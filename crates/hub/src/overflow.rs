//! What becomes of a room's messages that a client does not take in time.

use std::cell::Cell;

use bytes::Bytes;
use roomcast_protocol::wire::{sse, ws_frame};
use roomcast_protocol::{Room, WireForm, reply};

/// What happens when the messages of a room do not fit into a client's outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverflowPolicy {
    /// The client is closed as a slow consumer: it gets everything, or it knows that it did not.
    #[default]
    Disconnect,
    /// The oldest messages that wait make place for new ones.
    DropOldest,
    /// A client that is behind has one message waiting, the newest.
    Latest,
}

impl OverflowPolicy {
    /// Every policy; the place of each is its number.
    pub const ALL: [Self; 3] = [Self::Disconnect, Self::DropOldest, Self::Latest];
    /// How many policies there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its name, in the configuration and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::DropOldest => "drop_oldest",
            Self::Latest => "latest",
        }
    }

    /// Whether messages may be dropped.
    pub fn is_lossy(self) -> bool {
        self != Self::Disconnect
    }
}

/// What one client's outbox has of one room whose messages may be dropped. Numbers are those of the
/// outbox's slots; a number that is below its first one speaks of what has been written already.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) room: Room,
    pub(crate) policy: OverflowPolicy,
    /// The slot that counts what was dropped. Messages of the room that wait come after it, but for one
    /// that is half written.
    pub(crate) gap: Cell<Option<u64>>,
    /// The slot of the newest message, which is not dropped before there is a newer one; of
    /// [`OverflowPolicy::Latest`] only.
    pub(crate) newest: Cell<Option<u64>>,
}

impl Lane {
    pub(crate) fn new(room: Room, policy: OverflowPolicy) -> Self {
        Self { room, policy, gap: Cell::default(), newest: Cell::default() }
    }

    pub(crate) fn is_latest(&self) -> bool {
        self.policy == OverflowPolicy::Latest
    }
}

/// Tells a client how many messages of a room it has missed, where its form has a word for it.
pub(crate) fn notice(form: WireForm, room: &Room, count: u64) -> Option<Bytes> {
    match form {
        WireForm::WebSocketRaw | WireForm::Poll => None,
        WireForm::WebSocketJson => Some(ws_frame::text(&reply::dropped(room, count))),
        WireForm::Sse | WireForm::SseJson => {
            Some(sse::event(Some("dropped"), None, &reply::dropped_data(room, count)))
        }
    }
}

/// Whether a form has a word for messages that were dropped.
pub(crate) fn tells(form: WireForm) -> bool {
    !matches!(form, WireForm::WebSocketRaw | WireForm::Poll)
}
