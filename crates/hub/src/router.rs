//! From the broker to the shards that have members, and from the shards' wishes to the broker.
//!
//! The router waits for a full shard inbox, and the broker then waits for the router. A shard never
//! waits for the router while it empties its inbox, so this cannot lock up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use roomcast_broker::{Broker, BrokerEvent, EventReceiver, HistoryPage, RetentionTable};
use roomcast_protocol::{Position, Push, Room};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::{info, warn};

use crate::directory::{Consequence, Directory};
use crate::reads::{ReadResult, Reads, Slice, SliceReply};
use crate::tracker::{Step, Tracker};

/// Most cores that one node uses.
pub const SHARDS_MAX: usize = 64;
/// Bound of a shard's inbox, in messages: absorbs what arrives while a core fans out one message to
/// a large room. When it is full the router waits, and the wait is a metric.
const SHARD_MESSAGES_MAX: usize = 4096;
/// Bound of the queue of wishes, in batches; a shard has at most one under way.
const INTEREST_BATCHES_MAX: usize = SHARDS_MAX;
/// Bound of the queue of clients that come back; beyond it they wait their turn.
const SLICE_REQUESTS_MAX: usize = 1024;
/// Events taken from the broker at once.
const BATCH_EVENTS: usize = 256;

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
    /// No room is subscribed any more until it is confirmed anew.
    Down,
    /// A probe has come round that was sent at this time, in ms since the node started.
    Probe(u64),
}

/// A stay of a room on a shard is subscribed.
#[derive(Debug, Clone)]
pub struct Confirmation {
    pub(crate) room: Room,
    pub(crate) stay: u32,
    /// The room's last message so far, or the place before the first; none if it keeps no history.
    pub(crate) top: Option<Position>,
}

/// A client that comes back asks for what it has missed.
#[derive(Debug)]
pub struct SliceRequest {
    pub(crate) room: Room,
    pub(crate) after: Position,
    pub(crate) reply: SliceReply,
}

/// What the rest of the node may know about the hub, from any thread.
#[derive(Debug, Default)]
pub struct HubStatus {
    broker_up: AtomicBool,
    subscriptions: AtomicU64,
    waited_us: AtomicU64,
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

    /// How long the router has waited for busy cores, in µs.
    pub fn waited_us(&self) -> u64 {
        self.waited_us.load(Ordering::Relaxed)
    }
}

/// The router's ends of its queues.
#[derive(Debug)]
pub struct RouterQueues {
    interest: Receiver<InterestBatch>,
    slices: Receiver<SliceRequest>,
    shards: Vec<Sender<ShardMessage>>,
}

/// One shard's ends of its queues.
#[derive(Debug)]
pub struct ShardQueues {
    /// For [`crate::Shard::announce`].
    pub interest: Sender<InterestBatch>,
    /// For [`crate::Shard::new`].
    pub slices: Sender<SliceRequest>,
    /// For [`crate::Shard::run`].
    pub inbox: Receiver<ShardMessage>,
}

/// The queues between a router and `shards` shards.
pub fn queues(shards: usize) -> (RouterQueues, Vec<ShardQueues>) {
    let (interest, interests) = mpsc::channel(INTEREST_BATCHES_MAX);
    let (slices, slice_requests) = mpsc::channel(SLICE_REQUESTS_MAX);
    let (senders, ends) = (0..shards)
        .map(|_| {
            let (sender, inbox) = mpsc::channel(SHARD_MESSAGES_MAX);
            (sender, ShardQueues { interest: interest.clone(), slices: slices.clone(), inbox })
        })
        .unzip();
    (RouterQueues { interest: interests, slices: slice_requests, shards: senders }, ends)
}

/// Hands publications to shards.
pub struct Router {
    broker: Arc<dyn Broker>,
    events: EventReceiver,
    queues: RouterQueues,
    directory: Directory,
    /// What rooms were last known to keep.
    retention: Arc<RetentionTable>,
    reads: Reads,
    read_results: Receiver<ReadResult>,
    status: Arc<HubStatus>,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}

impl Router {
    /// A router between a broker and its shards.
    pub fn new(
        broker: Arc<dyn Broker>,
        events: EventReceiver,
        queues: RouterQueues,
        status: Arc<HubStatus>,
    ) -> Self {
        let (reads, read_results) = Reads::new(Arc::clone(&broker));
        let retention = broker.retentions();
        Self {
            broker,
            events,
            queues,
            directory: Directory::default(),
            retention,
            reads,
            read_results,
            status,
        }
    }

    /// Runs until the broker is gone or all shards are.
    pub async fn run(mut self) {
        let mut events = Vec::with_capacity(BATCH_EVENTS);
        loop {
            tokio::select! {
                // Wishes first: they are few, and someone waits for each.
                biased;
                batch = self.queues.interest.recv() => match batch {
                    Some(batch) => self.change(batch).await,
                    None => return,
                },
                Some(result) = self.read_results.recv() => self.has_read(result).await,
                Some(request) = self.queues.slices.recv() => self.slice(request),
                count = self.events.recv_many(&mut events, BATCH_EVENTS) => {
                    if count == 0 {
                        return;
                    }
                    for event in events.drain(..) {
                        self.handle(event).await;
                    }
                }
            }
        }
    }

    async fn change(&mut self, batch: InterestBatch) {
        let InterestBatch { shard, changes } = batch;
        let (mut subscribe, mut unsubscribe, mut confirmed) = (Vec::new(), Vec::new(), Vec::new());
        for (room, interest) in changes {
            match (self.directory.change(&room, shard, interest), interest) {
                (Consequence::Subscribe, _) => subscribe.push(room),
                (Consequence::Unsubscribe, _) => unsubscribe.push(room),
                (Consequence::Confirm, Interest::Wanted { stay }) => {
                    let tracker = self.directory.get(room.as_str()).and_then(|entry| entry.tracker.as_ref());
                    let top = tracker.map(Tracker::start);
                    confirmed.push(Confirmation { room, stay, top });
                }
                _ => {}
            }
        }
        self.status.subscriptions.store(self.directory.len() as u64, Ordering::Relaxed);
        if !subscribe.is_empty() {
            self.broker.subscribe(&subscribe);
        }
        if !unsubscribe.is_empty() {
            self.broker.unsubscribe(&unsubscribe);
        }
        if !confirmed.is_empty() {
            self.send(shard, ShardMessage::Confirmed(confirmed)).await;
        }
    }

    async fn handle(&mut self, event: BrokerEvent) {
        match event {
            BrokerEvent::Publication(push) => self.publication(push).await,
            BrokerEvent::Subscribed(rooms) => self.subscribed(rooms).await,
            BrokerEvent::Probe(sent_ms) => {
                self.follow_retention();
                self.send_all(|| ShardMessage::Probe(sent_ms)).await;
            }
            BrokerEvent::Up => {
                self.status.broker_up.store(true, Ordering::Relaxed);
                info!(rooms = self.directory.len(), "connected to the broker");
            }
            BrokerEvent::Down(reason) => {
                self.status.broker_up.store(false, Ordering::Relaxed);
                warn!(reason, "lost the broker; clients stay, publishing answers unavailable");
                self.directory.down();
                self.send_all(|| ShardMessage::Down).await;
            }
        }
    }

    /// What rooms keep has changed: each is confirmed once more, and then begins or ends to be tracked.
    fn follow_retention(&mut self) {
        let now = self.broker.retentions();
        if !Arc::ptr_eq(&now, &self.retention) {
            self.retention = now;
            self.broker.subscribe(&self.directory.rooms());
        }
    }

    async fn publication(&mut self, push: Arc<Push>) {
        let room = &push.publication().room;
        let Some(entry) = self.directory.get_mut(room.as_str()) else { return };
        match entry.tracker.as_mut().map_or(Step::Deliver, |tracker| tracker.receive(&push)) {
            Step::Deliver => self.deliver(&push).await,
            Step::Nothing => {}
            Step::Read { after } => entry.reading = Some(self.reads.repair(room.clone(), Some(after))),
        }
    }

    async fn deliver(&self, push: &Arc<Push>) {
        let Some(entry) = self.directory.get(push.publication().room.as_str()) else { return };
        for (shard, _) in &entry.shards {
            self.send(*shard, ShardMessage::Publication(Arc::clone(push))).await;
        }
    }

    /// The broker has confirmed rooms. Those that keep history are first read up to where they are.
    async fn subscribed(&mut self, rooms: Vec<Room>) {
        let mut confirmed = Vec::new();
        for room in rooms {
            let keeps_history = self.broker.retention(&room).is_some();
            let Some(entry) = self.directory.get_mut(room.as_str()) else { continue };
            if keeps_history {
                let after = entry.tracker.get_or_insert_default().subscribed();
                entry.reading = Some(self.reads.repair(room, after));
            } else {
                entry.tracker = None;
                confirmed.push(room);
            }
        }
        self.confirm(&confirmed).await;
    }

    async fn has_read(&mut self, result: ReadResult) {
        match result {
            ReadResult::Repair { room, ticket, page } => self.repair(room, ticket, page).await,
            ReadResult::Slice { room, after, page } => self.reads.answer(room, after, page),
        }
    }

    async fn repair(&mut self, room: Room, ticket: u64, page: HistoryPage) {
        let Some(entry) = self.directory.get_mut(room.as_str()) else { return };
        if entry.reading.as_ref().is_none_or(|reading| reading.number != ticket) {
            return;
        }
        let Some(tracker) = &mut entry.tracker else { return };
        let outcome = tracker.read(page);
        entry.reading = outcome.read.map(|after| self.reads.repair(room.clone(), Some(after)));
        let is_done = entry.reading.is_none();
        if let Some(seen) = outcome.lost {
            self.reads.renew(room.clone(), seen);
        }
        if outcome.reset {
            warn!(%room, "history could not cover a gap; its members are told");
            for (shard, _) in entry.shards.clone() {
                self.send(shard, ShardMessage::Reset(room.clone())).await;
            }
        }
        for push in &outcome.deliver {
            self.deliver(push).await;
        }
        if is_done {
            self.confirm(&[room]).await;
        }
    }

    /// Tells the shards of these rooms that nothing is missed from here on.
    async fn confirm(&mut self, rooms: &[Room]) {
        let mut per_shard: Vec<Vec<Confirmation>> = vec![Vec::new(); self.queues.shards.len()];
        for room in rooms {
            let Some(entry) = self.directory.get_mut(room.as_str()) else { continue };
            entry.confirmed = true;
            let top = entry.tracker.as_ref().map(Tracker::start);
            for (shard, stay) in &entry.shards {
                per_shard[*shard].push(Confirmation { room: room.clone(), stay: *stay, top });
            }
        }
        for (shard, confirmations) in per_shard.into_iter().enumerate().filter(|(_, all)| !all.is_empty()) {
            self.send(shard, ShardMessage::Confirmed(confirmations)).await;
        }
    }

    /// Recent messages are at hand; older ones have to be read.
    fn slice(&mut self, request: SliceRequest) {
        let SliceRequest { room, after, reply } = request;
        let tracker = self.directory.get(room.as_str()).and_then(|entry| entry.tracker.as_ref());
        let at_hand = tracker.filter(|tracker| !tracker.is_reading()).and_then(|tracker| {
            Some(Slice { complete: true, top: tracker.last(), messages: tracker.since(after)? })
        });
        match at_hand {
            Some(slice) => drop(reply.send(Some(slice))),
            None => self.reads.slice(&room, after, reply),
        }
    }

    async fn send_all(&self, message: impl Fn() -> ShardMessage) {
        for shard in 0..self.queues.shards.len() {
            self.send(shard, message()).await;
        }
    }

    async fn send(&self, shard: usize, message: ShardMessage) {
        let inbox = &self.queues.shards[shard];
        let Err(mpsc::error::TrySendError::Full(message)) = inbox.try_send(message) else { return };
        let begin = Instant::now();
        // A closed inbox means that the node is shutting down.
        let _ = inbox.send(message).await;
        self.status.waited_us.fetch_add(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
    }
}
