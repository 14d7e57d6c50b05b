//! The contract between nodes: what a broker promises to the hub, and what the hub owes it.
//!
//! # Delivery
//!
//! * **Order.** All nodes see the publications of one room in one order, the broker's. A publisher's
//!   own node is no exception: a publication reaches local members only by coming back as a
//!   [`BrokerEvent`], never by a short cut.
//! * **At most once.** Between [`BrokerEvent::Subscribed`] and the next [`BrokerEvent::Down`] each
//!   publication of a subscribed room comes exactly once. Around a `Down` some may be lost; whoever
//!   needs them must repair from history.
//! * **Atomic.** Where a room keeps history, appending, giving the id and publishing are one step.
//! * **Verbatim.** Payloads come back byte by byte as they were published.
//!
//! # Subscriptions are a wish, confirmed by an event
//!
//! [`Broker::subscribe`] and [`Broker::unsubscribe`] only state which rooms are wanted, and never
//! wait or fail. The broker keeps the wish through every outage, for however long: each time a room
//! is really subscribed, for the first time or again after a `Down`, it says
//! [`BrokerEvent::Subscribed`], in order with the publications. What it has said before a `Down` counts for
//! nothing after it. Publications of rooms that are no longer wanted may still come; the hub drops
//! them.
//!
//! # Back-pressure
//!
//! Events travel through one bounded queue of [`EVENTS_QUEUED_MAX`]. A full queue makes the broker
//! wait, never drop. The broker must not need the hub to make progress while it waits, and the hub
//! never waits for the broker while it reads events, so neither can lock the other up.

mod error;
mod event;
mod memory;

#[cfg(feature = "conformance")]
pub mod conformance;

use std::future::Future;
use std::pin::Pin;

use roomcast_protocol::{Position, Publication, Room};

pub use error::{BrokerError, BrokerErrorKind};
pub use event::{BrokerEvent, EVENTS_QUEUED_MAX, EventReceiver, EventSender, event_queue};
pub use memory::MemoryBroker;

/// A boxed future: the contract is used through `dyn Broker`, once per message, never per recipient.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Connects the nodes of a cluster. See the crate's page for what an implementation promises.
pub trait Broker: Send + Sync + 'static {
    /// States that `rooms` are wanted. Each is confirmed by [`BrokerEvent::Subscribed`]. Rooms that
    /// are wanted already may be confirmed again.
    fn subscribe(&self, rooms: &[Room]);

    /// States that `rooms` are not wanted any more.
    fn unsubscribe(&self, rooms: &[Room]);

    /// Publishes one message to its room on every node. `Ok` means that the broker has it, with its
    /// position in rooms that keep history. `publication.position` is ignored on the way in.
    ///
    /// Fails within the broker's own time limit; never waits for an outage to end.
    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Option<Position>, BrokerError>>;

    /// Publishes `token` the normal way, to come back to this node as [`BrokerEvent::Probe`]: the
    /// proof that messages get through, which no look at a connection's state can give.
    fn probe(&self, token: u64) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// How often the connection to the other nodes had to be made again.
    fn reconnects(&self) -> u64;
}
