//! What comes back from the broker: the first of the two queues through which data returns.

use std::sync::Arc;

use roomcast_protocol::{Control, Push, Room};
use tokio::sync::mpsc;

use crate::presence::PresenceEvent;

/// Bound of the event queue, in events. A burst of so many is absorbed while the hub is busy with
/// the one before; at 1 KiB each that is 8 MiB. When it is full the broker's reader waits, and
/// the pressure goes back to the broker itself.
pub const EVENTS_QUEUED_MAX: usize = 8192;

/// The broker's end of the queue.
pub type EventSender = mpsc::Sender<BrokerEvent>;
/// To look at how full the queue is.
pub type WeakEventSender = mpsc::WeakSender<BrokerEvent>;
/// The hub's end of the queue.
pub type EventReceiver = mpsc::Receiver<BrokerEvent>;

/// The queue between a broker and the hub of its node.
pub fn event_queue() -> (EventSender, EventReceiver) {
    mpsc::channel(EVENTS_QUEUED_MAX)
}

/// What a broker tells the hub, in order.
#[derive(Debug, Clone)]
pub enum BrokerEvent {
    /// A message of a room.
    Publication(Arc<Push>),
    /// From here on every publication of these rooms comes, until the next `Down`.
    Subscribed(Vec<Room>),
    /// Members of a room came or went, on whichever node.
    Presence(PresenceEvent),
    /// A wish about a user's connections.
    Control(Control),
    /// A probe of this node has come all the way round.
    Probe(u64),
    /// The connection to the other nodes stands. Rooms follow as they are confirmed.
    Up,
    /// The connection is lost, for this reason; no room is subscribed until it is confirmed anew.
    Down(String),
}
