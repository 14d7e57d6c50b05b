//! A message on its way from the broker to the members of its room.

use std::sync::Arc;

use crate::{ConnectionId, EventName, Payload, Position, Room, TraceContext};

/// One message of one room, the same for every recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The room that it was published to.
    pub room: Room,
    /// What it carries.
    pub payload: Payload,
    /// Its name, where it is not `message`.
    pub event: Option<EventName>,
    /// Its id, in rooms that keep history.
    pub position: Option<Position>,
    /// The signed-in user who sent it, where one did.
    pub user: Option<Arc<str>>,
    /// The one connection that must not get it: a sender that did not ask for an echo.
    pub except: Option<ConnectionId>,
    /// When a gateway handed it to the broker, in microseconds since 1970. Backends that publish
    /// directly do not tell.
    pub published_us: Option<u64>,
    /// The span that its fan-out belongs to, where it is traced.
    pub trace: Option<TraceContext>,
}

impl Publication {
    /// A message with nothing but its payload.
    pub fn plain(room: Room, payload: Payload) -> Self {
        Self {
            room,
            payload,
            event: None,
            position: None,
            user: None,
            except: None,
            published_us: None,
            trace: None,
        }
    }
}
