//! Who on this node is in which room, and one message to all of them.
//!
//! Each core has a [`Shard`], a value that never leaves its thread: rooms, their members, and the
//! outbox of each member. The [`Router`] reads what the broker says and hands each publication to
//! the shards that have members of its room; the [`directory`] tells which those are. Nothing here
//! takes a lock per message, and nothing here knows what a socket is.

mod backlog;
mod compression;
mod cursor;
mod directory;
mod outbox;
mod overflow;
mod presence;
mod queues;
mod reads;
mod room;
mod roster;
mod router;
mod shard;
mod slot;
mod speakers;
pub mod stats;
pub mod trace;
mod tracker;
mod turns;
mod users;

pub use compression::{Compression, Compressor};
pub use cursor::StreamCursor;
pub use outbox::{ENTRY_COST_BYTES, Entry, Outbox, Overflow};
pub use overflow::OverflowPolicy;
pub use queues::{
    Confirmation, HubStatus, Interest, InterestBatch, ReadFor, RouterQueues, RouterRequest, SHARDS_MAX,
    ShardMessage, ShardQueues, queues,
};
pub use reads::Slice;
pub use room::Who;
pub use router::Router;
pub use shard::{Membership, Shard};
pub use turns::{Batch, Sink, Turns};
pub use users::SignedIn;
