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
//!   Offsets of one epoch are contiguous, so a jump tells that something was lost on the way. A
//!   history that begins anew, for whatever reason, begins a new epoch: no id is ever used twice.
//! * **Idempotent.** A publication with a key that the room has seen within [`KEY_REMEMBERED`] answers
//!   the position of the first and is not published again.
//! * **Traced.** The trace of a publication comes back with it, at least where it has no event name or no user: it is for
//!   those who look into the cluster, and no promise to clients.
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
//! # Presence
//!
//! [`Broker::presence`] states which members came and went here; like the wish for a room it never waits
//! or fails, and the broker keeps it through outages. Members that are on several nodes are one. Nodes that subscribe
//! to the room hear each change of the sum as [`BrokerEvent::Presence`], with versions that count up by one; whoever
//! sees a jump, or has just subscribed, reads [`Broker::members`]. The members of a node that says nothing for
//! [`LEASE`] leave, each once.
//!
//! # Back-pressure
//!
//! Events travel through one bounded queue of [`EVENTS_QUEUED_MAX`]. A full queue makes the broker
//! wait, never drop. The broker must not need the hub to make progress while it waits, and the hub
//! never waits for the broker while it reads events, so neither can lock the other up.

mod error;
mod event;
mod history;
mod memory;
mod presence;

#[cfg(feature = "conformance")]
pub mod conformance;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use roomcast_protocol::{Control, NodeId, Position, Publication, Room};

pub use error::{BrokerError, BrokerErrorKind};
pub use event::{BrokerEvent, EVENTS_QUEUED_MAX, EventReceiver, EventSender, WeakEventSender, event_queue};
pub use history::{
    HistoryPage, KEY_BYTES_MAX, KEY_REMEMBERED, PAGE_BYTES_MAX, PAGE_MESSAGES_MAX, Retention, RetentionTable,
    SharedRetention,
};
pub use memory::MemoryBroker;
pub use presence::{
    LEASE, LEAVE_GRACE, LocalMembers, PresenceDelta, PresenceEvent, ROOM_MEMBERS_MAX, RoomMembers,
};

/// How long it counts what a node has said of itself.
pub const REPORT_COUNTS: std::time::Duration = std::time::Duration::from_secs(20);

/// Longest version that a node says of itself, in bytes: more is no version, whoever wrote it.
pub const VERSION_BYTES_MAX: usize = 64;

/// A boxed future: the contract is used through `dyn Broker`, once per message, never per recipient.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A gateway process, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Drawn at random when it started.
    pub id: NodeId,
    /// What its operator calls it.
    pub name: String,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// Which node.
    pub id: NodeId,
    /// How many connections it has.
    pub connections: u64,
    /// It leaves, and takes nobody any more.
    pub draining: bool,
    /// The version of its program, of at most [`VERSION_BYTES_MAX`] bytes; empty where it has not told.
    pub version: String,
}

/// Numbers about a broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BrokerStatus {
    /// How often the connection to the other nodes had to be made again.
    pub reconnects: u64,
    /// Commands that wait for an answer now.
    pub commands: usize,
    /// How many may wait at once; 0 where there is nothing to wait for.
    pub commands_max: usize,
    /// Commands that were answered with a refusal.
    pub refusals: u64,
}

/// Connects the nodes of a cluster. See the crate's page for what an implementation promises.
pub trait Broker: Send + Sync + 'static {
    /// States that `rooms` are wanted. Each is confirmed by [`BrokerEvent::Subscribed`]. Rooms that
    /// are wanted already may be confirmed again.
    fn subscribe(&self, rooms: &[Room]);

    /// States that `rooms` are not wanted any more.
    fn unsubscribe(&self, rooms: &[Room]);

    /// Publishes one message to its room on every node. `Ok` means that the broker has it, with its
    /// position in rooms that keep history. `publication.position` is ignored on the way in; `key` is
    /// the idempotency key, of at most [`KEY_BYTES_MAX`] bytes.
    ///
    /// Fails within the broker's own time limit; never waits for an outage to end.
    fn publish(
        &self,
        publication: Publication,
        key: Option<String>,
    ) -> BoxFuture<'_, Result<Option<Position>, BrokerError>>;

    /// What rooms keep, now. Whoever has read it finds out by comparing pointers that it has changed.
    fn retentions(&self) -> Arc<RetentionTable>;

    /// What is kept of a room, if anything.
    fn retention(&self, room: &Room) -> Option<Retention> {
        self.retentions().of(room)
    }

    /// Reads the history of a room: with `after` the oldest messages behind it, without it the newest;
    /// `limit` of them, and never more than [`PAGE_MESSAGES_MAX`] or [`PAGE_BYTES_MAX`]. A room that keeps none, or has
    /// none now, gives an empty page without `top`.
    fn history(
        &self,
        room: Room,
        after: Option<Position>,
        limit: usize,
    ) -> BoxFuture<'_, Result<HistoryPage, BrokerError>>;

    /// The room's history once had `seen`, and now ends before it: something was lost. Its next message
    /// begins a new epoch, so that no id is used twice. Does nothing if the history has `seen`.
    fn renew(&self, room: Room, seen: Position) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// Members that came and went on this node.
    fn presence(&self, deltas: Vec<PresenceDelta>);

    /// Who is in a room, on all nodes.
    fn members(&self, room: Room) -> BoxFuture<'_, Result<RoomMembers, BrokerError>>;

    /// Tells all nodes, this one among them, what is wished about a user. Nodes that have no connection to the
    /// broker at this moment do not hear it.
    fn control(&self, wish: Control) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// Publishes `token` the normal way, to come back to this node as [`BrokerEvent::Probe`]: the
    /// proof that messages get through, which no look at a connection's state can give.
    fn probe(&self, token: u64) -> BoxFuture<'_, Result<(), BrokerError>>;

    /// The nodes that are connected to the broker now, this one among them, in no particular order.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeInfo>, BrokerError>>;

    /// Tells the other nodes about this one, whose report it is, and hears the same of all that have told lately, this
    /// one among them. To be repeated every few seconds: who says nothing for [`REPORT_COUNTS`] is not among them.
    fn report(&self, own: NodeReport) -> BoxFuture<'_, Result<Vec<NodeReport>, BrokerError>>;

    /// The node stops: its members leave now, rather than when they are missed.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// How it is doing, for metrics.
    fn status(&self) -> BrokerStatus;
}
