//! The part of the hub that lives on one core.

mod membership;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roomcast_broker::PresenceDelta;
use roomcast_protocol::{
    ConnectionId, Member as RoomMember, MemberId, Position, Push, Room, TraceContext, WireForm,
};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::{Notify, oneshot};

use crate::cursor::StreamCursor;
use crate::outbox::Outbox;
use crate::overflow::{Lane, OverflowPolicy};
use crate::queues::{Confirmation, Interest, InterestBatch, RouterRequest, ShardMessage};
use crate::reads::Slice;
use crate::room::{Member, RoomEntry, Who};
use crate::stats::ShardStats;
use crate::trace::{Attribute, Span, SpanKind, Tracer};
use crate::turns::Turns;
use crate::users::Users;

pub use membership::Membership;

/// How long a room stays subscribed after its last member has left: a page that is loaded again
/// finds its room still there, and Redis is spared the flapping.
const LINGER: Duration = Duration::from_secs(1);

/// Messages taken from the inbox before the write loops get their turn: large enough to coalesce,
/// small enough that outboxes do not overflow only because nobody was allowed to write.
const BATCH_MESSAGES: usize = 64;

/// Payload after which they get it sooner: 64 large messages would be more than an outbox holds.
const BATCH_BYTES: usize = 64 * 1024;

/// Rooms and members of one core. All methods are called from that core's thread.
#[derive(Debug)]
pub struct Shard {
    index: usize,
    rooms: RefCell<HashMap<Room, RoomEntry>>,
    /// Changes that the router has not been told yet; at most one per room.
    interest: RefCell<HashMap<Room, Interest>>,
    /// Members that came and went since the router was told; at most one entry for each of them.
    presence: RefCell<HashMap<(Room, MemberId), PresenceDelta>>,
    interest_changed: Notify,
    /// Rooms without members, to be looked at again.
    emptied: RefCell<Vec<Room>>,
    next_stay: Cell<u32>,
    /// How often the write loops have had their turn.
    turn: Cell<u32>,
    pub(crate) users: Users,
    requests: Sender<RouterRequest>,
    stats: Arc<ShardStats>,
    /// When the node started: probes tell their time relative to it.
    started: Instant,
    tracer: Option<Arc<dyn Tracer>>,
    turns: Rc<Turns>,
}

impl Shard {
    /// The shard of core number `index` of a node that started at `started`.
    pub fn new(
        index: usize,
        stats: Arc<ShardStats>,
        requests: Sender<RouterRequest>,
        started: Instant,
    ) -> Self {
        Self {
            index,
            rooms: RefCell::default(),
            interest: RefCell::default(),
            presence: RefCell::default(),
            interest_changed: Notify::new(),
            emptied: RefCell::default(),
            next_stay: Cell::new(0),
            turn: Cell::new(0),
            users: Users::default(),
            requests,
            stats,
            started,
            tracer: None,
            turns: Rc::default(),
        }
    }

    /// The same, which tells of traced messages.
    pub fn traced_by(self, tracer: Option<Arc<dyn Tracer>>) -> Self {
        Self { tracer, ..self }
    }

    /// What this shard counts.
    pub fn stats(&self) -> &Arc<ShardStats> {
        &self.stats
    }

    /// Where the outboxes of this core are written in turn.
    pub fn turns(&self) -> &Rc<Turns> {
        &self.turns
    }

    /// Makes a connection a member of a room. Until it is released its messages are held. A poll is answered with what
    /// fits, whatever the policy.
    pub fn join(
        self: &Rc<Self>,
        room: &Room,
        connection: ConnectionId,
        outbox: &Rc<Outbox>,
        overflow: OverflowPolicy,
        cursor: Option<&Rc<StreamCursor>>,
        who: Option<&Rc<Who>>,
    ) -> Membership {
        let form = outbox.form();
        let droppable = overflow.is_lossy() && form != WireForm::Poll;
        let mut rooms = self.rooms.borrow_mut();
        let entry = rooms.entry(room.clone()).or_insert_with(|| self.new_room(room));
        entry.empty_since = None;
        let held = Some(Box::default());
        let key = entry.members.insert(Member {
            connection,
            form,
            outbox: Rc::clone(outbox),
            lane: droppable.then(|| Rc::new(Lane::new(room.clone(), overflow))),
            cursor: cursor.cloned(),
            held,
            has: None,
            waiting: None,
            who: who.cloned(),
            asks_members: false,
            watches: false,
            ended: false,
        });
        self.count_presence(room, who, 1);
        self.stats.members.add(1);
        Membership { shard: Rc::clone(self), room: room.clone(), key }
    }

    fn new_room(&self, room: &Room) -> RoomEntry {
        let stay = self.next_stay.get();
        self.next_stay.set(stay.wrapping_add(1));
        self.interest.borrow_mut().insert(room.clone(), Interest::Wanted { stay });
        self.interest_changed.notify_one();
        self.stats.rooms.add(1);
        RoomEntry::new(stay)
    }

    fn leave(&self, room: &Room, key: usize) {
        let mut rooms = self.rooms.borrow_mut();
        let Some(entry) = rooms.get_mut(room) else { return };
        let member = entry.members.remove(key);
        self.count_presence(room, member.who.as_ref(), -1);
        self.stats.members.sub(1);
        if entry.members.is_empty() {
            entry.members.shrink_to_fit();
            entry.empty_since = Some(Instant::now());
            self.emptied.borrow_mut().push(room.clone());
        }
    }

    /// Takes a connection out of a room, without its own doing. Its membership is left to be dropped.
    pub(crate) fn end_membership(&self, room: &Room, connection: ConnectionId) {
        let mut rooms = self.rooms.borrow_mut();
        let Some(entry) = rooms.get_mut(room) else { return };
        let who = entry.end_member(room, connection, &self.stats);
        self.count_presence(room, who.as_ref(), -1);
    }

    fn count_presence(&self, room: &Room, who: Option<&Rc<Who>>, connections: i32) {
        let Some(who) = who else { return };
        let mut all = self.presence.borrow_mut();
        let delta = all.entry((room.clone(), who.member.clone())).or_insert_with(|| PresenceDelta {
            room: room.clone(),
            member: who.member.clone(),
            info: None,
            connections: 0,
        });
        delta.connections += connections;
        if connections > 0 {
            delta.info.clone_from(&who.info);
        }
        self.interest_changed.notify_one();
    }

    /// Rooms with members, and who they are. Those that were taken out are not among them, although their clients have
    /// not left yet.
    pub fn members(&self) -> Vec<(Room, Vec<ConnectionId>)> {
        let rooms = self.rooms.borrow();
        let ids = |entry: &RoomEntry| -> Vec<_> {
            let there = entry.members.iter().filter(|(_, member)| !member.ended);
            there.map(|(_, member)| member.connection).collect()
        };
        let all = rooms.iter().map(|(room, entry)| (room.clone(), ids(entry)));
        all.filter(|(_, ids)| !ids.is_empty()).collect()
    }

    /// Rooms whose names begin with `prefix`, and how many of those members they have.
    pub fn member_counts(&self, prefix: &str) -> Vec<(Room, usize)> {
        let rooms = self.rooms.borrow();
        let count = |entry: &RoomEntry| entry.members.iter().filter(|(_, member)| !member.ended).count();
        let all = rooms.iter().filter(|(room, _)| room.as_str().starts_with(prefix));
        all.map(|(room, entry)| (room.clone(), count(entry))).filter(|(_, count)| *count > 0).collect()
    }

    /// Gives up rooms that have been without members for a while. To be called about once a second.
    pub fn sweep(&self, now: Instant) {
        let mut rooms = self.rooms.borrow_mut();
        self.emptied.borrow_mut().retain(|room| {
            let Some(since) = rooms.get(room).and_then(|entry| entry.empty_since) else { return false };
            if now.saturating_duration_since(since) < LINGER {
                return true;
            }
            rooms.remove(room);
            self.stats.rooms.sub(1);
            self.interest.borrow_mut().insert(room.clone(), Interest::Unwanted);
            self.interest_changed.notify_one();
            false
        });
        if rooms.capacity() > 1024 && rooms.len() < rooms.capacity() / 4 {
            rooms.shrink_to_fit();
        }
    }

    /// Tells the router which rooms this shard wants, in batches. Ends when the router is gone.
    pub async fn announce(self: Rc<Self>, router: Sender<InterestBatch>) {
        loop {
            self.interest_changed.notified().await;
            let changes: Vec<_> = self.interest.borrow_mut().drain().collect();
            let presence: Vec<_> = self.presence.borrow_mut().drain().map(|(_, delta)| delta).collect();
            if changes.is_empty() && presence.is_empty() {
                continue;
            }
            if router.send(InterestBatch { shard: self.index, changes, presence }).await.is_err() {
                return;
            }
        }
    }

    /// Writes what is queued while no message is fanned out. Never ends.
    pub async fn keep_writing(self: Rc<Self>) {
        self.turns.keep_writing().await;
    }

    /// Carries out what the router says. Ends when the router is gone.
    pub async fn run(self: Rc<Self>, mut inbox: Receiver<ShardMessage>) {
        let mut batch = Vec::with_capacity(BATCH_MESSAGES);
        while inbox.recv_many(&mut batch, BATCH_MESSAGES).await > 0 {
            let mut bytes = 0;
            self.turns.hold();
            for message in batch.drain(..) {
                bytes += message.payload_bytes();
                self.handle(message);
                if bytes >= BATCH_BYTES {
                    bytes = 0;
                    self.let_others_write().await;
                    self.turns.hold();
                }
            }
            self.let_others_write().await;
        }
    }

    async fn let_others_write(&self) {
        self.turn.set(self.turn.get().wrapping_add(1));
        self.turns.write().await;
        // Behind those who have just been woken, and no further: the runtime's own way to yield asks the kernel for
        // news in between, once for each batch.
        let mut yielded = false;
        poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn handle(&self, message: ShardMessage) {
        match message {
            ShardMessage::Publication(push) => self.fan_out(&push),
            ShardMessage::Confirmed(confirmations) => self.confirm(confirmations),
            ShardMessage::Reset(room) => self.reset(&room),
            ShardMessage::Control(wish) => self.control(&wish),
            ShardMessage::Members { room, frame } => {
                if let Some(entry) = self.rooms.borrow_mut().get_mut(&room) {
                    entry.tell_members(&frame, &self.stats);
                }
            }
            ShardMessage::Presence { room, frame } => {
                if let Some(entry) = self.rooms.borrow().get(&room) {
                    entry.tell_presence(&frame, &self.stats);
                }
            }
            ShardMessage::Down => self.rooms.borrow_mut().values_mut().for_each(|entry| entry.live = false),
            ShardMessage::Probe(sent_ms) => self.probe(sent_ms),
        }
    }

    fn fan_out(&self, push: &Arc<Push>) {
        let begin = Instant::now();
        let mut rooms = self.rooms.borrow_mut();
        let Some(entry) = rooms.get_mut(&push.publication().room) else { return };
        entry.fan_out(push, self.turn.get(), &self.stats);
        self.stats.fanout_duration.observe(begin.elapsed());
        if let (Some(tracer), Some(sent)) = (&self.tracer, push.publication().trace) {
            tracer.record(self.fan_out_span(tracer.child(sent), sent, begin.elapsed(), entry.members.len()));
        }
        if let Some(published_us) = push.publication().published_us {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            // Clocks of two nodes may disagree; nothing arrives before it was sent.
            self.stats.delivery_latency.observe(now.saturating_sub(Duration::from_micros(published_us)));
        }
    }

    fn fan_out_span(
        &self,
        context: TraceContext,
        sent: TraceContext,
        took: Duration,
        members: usize,
    ) -> Span {
        let end = SystemTime::now();
        Span {
            name: "fan-out",
            kind: SpanKind::Consumer,
            context,
            parent: Some(sent.span_id),
            begin: end.checked_sub(took).unwrap_or(end),
            end,
            error: None,
            attributes: vec![
                ("roomcast.core", Attribute::Number(self.index as i64)),
                ("roomcast.members", Attribute::Number(members as i64)),
            ],
        }
    }

    fn confirm(&self, confirmations: Vec<Confirmation>) {
        let mut rooms = self.rooms.borrow_mut();
        for Confirmation { room, stay, top } in confirmations {
            // An earlier stay's confirmation says nothing about this one.
            if let Some(entry) = rooms.get_mut(&room).filter(|entry| entry.stay == stay) {
                entry.confirmed(top);
            }
        }
    }

    fn reset(&self, room: &Room) {
        if let Some(entry) = self.rooms.borrow_mut().get_mut(room) {
            entry.reset(room, &self.stats);
        }
    }

    /// Asks for what follows `after` in a room: from memory if it is recent, else from the broker. `None` if
    /// it cannot be read now.
    pub async fn slice(&self, room: &Room, after: Position) -> Option<Slice> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(RouterRequest::Slice { room: room.clone(), after, reply }).await.ok()?;
        answer.await.ok()?
    }

    /// Asks who is in a room, on all nodes, in order. `None` if it cannot be read now.
    pub async fn room_members(&self, room: &Room) -> Option<Arc<[RoomMember]>> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(RouterRequest::Members { room: room.clone(), reply }).await.ok()?;
        answer.await.ok()?
    }

    fn probe(&self, sent_ms: u64) {
        let now_us = self.started.elapsed().as_micros() as u64;
        self.stats.probe_sent_ms.set(sent_ms);
        let lag_us = now_us.saturating_sub(sent_ms * 1000);
        self.stats.probe_lag_us.set(lag_us);
        self.stats.probe_latency.observe(Duration::from_micros(lag_us));
    }
}

#[cfg(test)]
#[path = "shard_tests.rs"]
mod tests;
