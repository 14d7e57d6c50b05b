//! From the broker to the shards that have members, and from the shards' wishes to the broker.
//!
//! The router waits for a full shard inbox, and the broker then waits for the router. A shard never
//! waits for the router while it empties its inbox, so this cannot lock up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use roomcast_broker::{Broker, BrokerEvent, EventReceiver, HistoryPage, RetentionTable};
use roomcast_protocol::{Position, Push, Room};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::sleep_until;
use tracing::{info, warn};

use crate::directory::{Consequence, Directory};
use crate::presence::{Presence, ToShard};
use crate::queues::{
    Confirmation, HubStatus, Interest, InterestBatch, RouterQueues, RouterRequest, ShardMessage,
};
use crate::reads::{ReadResult, Reads, Slice, SliceReply};
use crate::tracker::{Step, Tracker};

/// Events taken from the broker at once.
const BATCH_EVENTS: usize = 256;

/// Hands publications to shards.
pub struct Router {
    broker: Arc<dyn Broker>,
    events: EventReceiver,
    queues: RouterQueues,
    directory: Directory,
    presence: Presence,
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
        let (reads, read_results) = Reads::new(Arc::clone(&broker), Arc::clone(&status));
        let retention = broker.retentions();
        Self {
            broker,
            events,
            queues,
            directory: Directory::default(),
            presence: Presence::default(),
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
            let tell_at = self.presence.tell_at();
            tokio::select! {
                // No order: clients that ask very much must not keep messages waiting, nor the other way round.
                batch = self.queues.interest.recv() => match batch {
                    Some(batch) => self.change(batch).await,
                    None => return,
                },
                Some(result) = self.read_results.recv() => self.has_read(result).await,
                Some(request) = self.queues.requests.recv() => self.request(request).await,
                () = sleep_until(tell_at.unwrap_or_else(tokio::time::Instant::now)), if tell_at.is_some() => {
                    let messages = self.presence.tell(|room| self.directory.shards(room));
                    self.send_each(messages).await;
                }
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
        let InterestBatch { shard, changes, presence } = batch;
        let (mut subscribe, mut unsubscribe, mut confirmed) = (Vec::new(), Vec::new(), Vec::new());
        for (room, interest) in changes {
            match (self.directory.change(&room, shard, interest), interest) {
                (Consequence::Subscribe, _) => subscribe.push(room),
                (Consequence::Unsubscribe, _) => {
                    self.presence.forget(&room);
                    unsubscribe.push(room);
                }
                (Consequence::Confirm, Interest::Wanted { stay }) => {
                    let tracker = self.directory.get(room.as_str()).and_then(|entry| entry.tracker.as_ref());
                    let top = tracker.map(Tracker::start);
                    confirmed.push(Confirmation { room, stay, top });
                }
                _ => {}
            }
        }
        self.status.subscriptions.store(self.directory.len() as u64, Ordering::Relaxed);
        if !presence.is_empty() {
            self.broker.presence(presence);
        }
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
            BrokerEvent::Control(wish) => self.send_all(|| ShardMessage::Control(wish.clone())).await,
            BrokerEvent::Presence(event) => self.presence.event(event, &mut self.reads),
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
            self.presence.subscribed(&room, &mut self.reads);
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
            ReadResult::MembersOnce { room, members } => self.reads.answer_members(&room, members),
            ReadResult::Members { room, ticket, members } => {
                let shards = self.directory.shards(&room);
                let messages = self.presence.read(&room, ticket, members, &shards, &mut self.reads);
                self.send_each(messages).await;
            }
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

    async fn request(&mut self, request: RouterRequest) {
        match request {
            RouterRequest::Slice { room, after, reply } => self.slice(&room, after, reply),
            RouterRequest::Members { room, reply } => match self.presence.members(&room) {
                Some(members) => drop(reply.send(Some(members))),
                None => self.reads.members_once(room, reply),
            },
            RouterRequest::Watch { room, shard } => {
                if self.directory.get(room.as_str()).is_none() {
                    return;
                }
                let messages = self.presence.watch(&room, shard, &mut self.reads);
                self.send_each(messages).await;
            }
        }
    }

    /// Recent messages are at hand; older ones have to be read.
    fn slice(&mut self, room: &Room, after: Position, reply: SliceReply) {
        let tracker = self.directory.get(room.as_str()).and_then(|entry| entry.tracker.as_ref());
        let at_hand = tracker.filter(|tracker| !tracker.is_reading()).and_then(|tracker| {
            Some(Slice { complete: true, top: tracker.last(), messages: tracker.since(after)? })
        });
        match at_hand {
            Some(slice) => {
                self.status.slices_at_hand.fetch_add(1, Ordering::Relaxed);
                drop(reply.send(Some(slice)));
            }
            None => self.reads.slice(room, after, reply),
        }
    }

    async fn send_each(&self, messages: Vec<ToShard>) {
        for (shard, message) in messages {
            self.send(shard, message).await;
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
