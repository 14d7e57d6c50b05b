//! Between the router and the shards: what they say to each other, and through which queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use roomcast_broker::PresenceDelta;
use roomcast_protocol::{Control, Position, Push, Room};
use tokio::sync::mpsc::{self, Receiver, Sender, WeakSender};

use crate::presence::MembersReply;
use crate::reads::SliceReply;

/// Most cores that one node uses.
pub const SHARDS_MAX: usize = 64;
/// Bound of a shard's inbox, in messages: absorbs what arrives while a core fans out one message to
/// a large room. When it is full the router waits, and the wait is a metric.
const SHARD_MESSAGES_MAX: usize = 4096;
/// Bound of the queue of wishes, in batches; a shard has at most one under way.
const INTEREST_BATCHES_MAX: usize = SHARDS_MAX;
/// Bound of the queue of clients that ask for something; beyond it they wait their turn.
const REQUESTS_MAX: usize = 1024;

/// Whether a shard wants a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// It has members. `stay` numbers this stay of the room on the shard.
    Wanted {
        /// Returned with the confirmation.
        stay: u32,
    },
    /// It has none any more.
    Unwanted,
}

/// What one shard wants, since it last said so.
#[derive(Debug)]
pub struct InterestBatch {
    pub(crate) shard: usize,
    pub(crate) changes: Vec<(Room, Interest)>,
    /// Members that came and went.
    pub(crate) presence: Vec<PresenceDelta>,
}

/// What the router tells a shard.
#[derive(Debug)]
pub enum ShardMessage {
    /// A message for the members of a room.
    Publication(Arc<Push>),
    /// These are subscribed from here on.
    Confirmed(Vec<Confirmation>),
    /// Messages of this room were lost, and history could not cover the gap.
    Reset(Room),
    /// Who is in a room, for those who have asked, and from now on want to hear more.
    Members {
        /// Which room.
        room: Room,
        /// What they are told.
        frame: Bytes,
    },
    /// A wish about a user's connections.
    Control(Control),
    /// Members came and went, for those who want to hear it.
    Presence {
        /// Which room.
        room: Room,
        /// What they are told.
        frame: Bytes,
    },
    /// No room is subscribed any more until it is confirmed anew.
    Down,
    /// A probe has come round that was sent at this time, in ms since the node started.
    Probe(u64),
}

impl ShardMessage {
    /// How much it gives members to be written, in bytes of payload.
    pub(crate) fn payload_bytes(&self) -> usize {
        match self {
            Self::Publication(push) => push.publication().payload.bytes.len(),
            _ => 0,
        }
    }
}

/// A stay of a room on a shard is subscribed.
#[derive(Debug, Clone)]
pub struct Confirmation {
    pub(crate) room: Room,
    pub(crate) stay: u32,
    /// The room's last message so far, or the place before the first; none if it keeps no history.
    pub(crate) top: Option<Position>,
}

/// What a client asks of the router.
#[derive(Debug)]
pub enum RouterRequest {
    /// It has come back: what has it missed?
    Slice {
        /// Which room.
        room: Room,
        /// The last message that it has.
        after: Position,
        /// Where the answer goes.
        reply: SliceReply,
    },
    /// Who is in the room?
    Members {
        /// Which room.
        room: Room,
        /// Where the answer goes.
        reply: MembersReply,
    },
    /// Who is in the room, comes and goes? Answered through the inbox of the shard.
    Watch {
        /// Which room.
        room: Room,
        /// The shard with the member that has asked.
        shard: usize,
    },
}

/// What the rest of the node may know about the hub, from any thread.
#[derive(Debug, Default)]
pub struct HubStatus {
    pub(crate) broker_up: AtomicBool,
    pub(crate) subscriptions: AtomicU64,
    pub(crate) waited_us: AtomicU64,
    reads: [[AtomicU64; 2]; ReadFor::ALL.len()],
    pub(crate) slices_at_hand: AtomicU64,
}

/// What the router reads history for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFor {
    /// To know where a room is, or to close a gap.
    Repair,
    /// For clients that have come back, and whose messages are not at hand any more.
    Resume,
}

impl ReadFor {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Repair, Self::Resume];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Resume => "resume",
        }
    }
}

impl HubStatus {
    /// Whether the connection to the other nodes stands.
    pub fn is_broker_up(&self) -> bool {
        self.broker_up.load(Ordering::Relaxed)
    }

    /// Rooms that this node subscribes to.
    pub fn subscriptions(&self) -> u64 {
        self.subscriptions.load(Ordering::Relaxed)
    }

    pub(crate) fn count_read(&self, purpose: ReadFor, well: bool) {
        self.reads[purpose as usize][usize::from(well)].fetch_add(1, Ordering::Relaxed);
    }

    /// Reads at the broker that went well, or did not.
    pub fn reads(&self, purpose: ReadFor, well: bool) -> u64 {
        self.reads[purpose as usize][usize::from(well)].load(Ordering::Relaxed)
    }

    /// How often what a client had missed was at hand, and nothing had to be read.
    pub fn slices_at_hand(&self) -> u64 {
        self.slices_at_hand.load(Ordering::Relaxed)
    }

    /// How long the router has waited for busy cores, in µs.
    pub fn waited_us(&self) -> u64 {
        self.waited_us.load(Ordering::Relaxed)
    }
}

/// The router's ends of its queues.
#[derive(Debug)]
pub struct RouterQueues {
    pub(crate) interest: Receiver<InterestBatch>,
    pub(crate) requests: Receiver<RouterRequest>,
    pub(crate) shards: Vec<Sender<ShardMessage>>,
}

impl RouterQueues {
    /// The shards' inboxes, to look at how full they are.
    pub fn inboxes(&self) -> Vec<WeakSender<ShardMessage>> {
        self.shards.iter().map(Sender::downgrade).collect()
    }
}

/// One shard's ends of its queues.
#[derive(Debug)]
pub struct ShardQueues {
    /// For [`crate::Shard::announce`].
    pub interest: Sender<InterestBatch>,
    /// For [`crate::Shard::new`].
    pub requests: Sender<RouterRequest>,
    /// For [`crate::Shard::run`].
    pub inbox: Receiver<ShardMessage>,
}

/// The queues between a router and `shards` shards.
pub fn queues(shards: usize) -> (RouterQueues, Vec<ShardQueues>) {
    let (interest, interests) = mpsc::channel(INTEREST_BATCHES_MAX);
    let (requests, router_requests) = mpsc::channel(REQUESTS_MAX);
    let (senders, ends) = (0..shards)
        .map(|_| {
            let (sender, inbox) = mpsc::channel(SHARD_MESSAGES_MAX);
            (sender, ShardQueues { interest: interest.clone(), requests: requests.clone(), inbox })
        })
        .unzip();
    (RouterQueues { interest: interests, requests: router_requests, shards: senders }, ends)
}
