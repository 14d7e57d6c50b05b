//! A connection's side of the conversation, carried out.

use std::cell::{RefCell, RefMut};
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use roomcast_hub::{Entry, Membership, Outbox, SignedIn, Sink, StreamCursor};
use roomcast_protocol::wire::deflate::Window;
use roomcast_protocol::wire::{sse, ws_frame};
use roomcast_protocol::{Close, ConnectionId, Cursor, Room, WireForm, reply};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::auth::Identity;
use crate::core::Core;
use crate::heartbeat::Pulse;
use crate::rate_limit::RateLimit;
use crate::refusal::Refusal;
use crate::resume::{self, Plan};
use crate::rules;
use crate::users::Counted;

/// How long a subscription may wait for the broker's confirmation. Longer than a reconnect after a
/// blip, shorter than a client's patience.
pub(crate) const CONFIRMATION_LIMIT: Duration = Duration::from_secs(5);

/// One connection that is in rooms. Dropping it leaves them all.
#[derive(Debug)]
pub struct Session {
    core: Rc<Core>,
    id: ConnectionId,
    form: WireForm,
    /// What the client asked for in its URL.
    echo: Option<bool>,
    outbox: Rc<Outbox>,
    pulse: Rc<Pulse>,
    /// Of streams and polls, whose positions speak of all their rooms at once.
    cursor: Option<Rc<StreamCursor>>,
    joined: RefCell<Vec<Joined>>,
    /// Who the client is.
    identity: RefCell<Rc<Identity>>,
    /// Of a user: that the others know of it, and that it is counted.
    signed_in: RefCell<Option<Box<(SignedIn, Counted)>>>,
    rate_limit: RefCell<RateLimit>,
}

/// One room that the client is in.
#[derive(Debug)]
struct Joined {
    membership: Rc<Membership>,
    /// Gives the client what it has missed; ended with the membership.
    catching_up: Option<AbortOnDropHandle<()>>,
}

impl Session {
    /// Begins a conversation with this client, who wants to be in `rooms`. Nothing is sent before
    /// [`greet`](Self::greet). A user is in its own room as well, unless messages could not be told apart.
    pub async fn begin(
        core: &Rc<Core>,
        form: WireForm,
        echo: Option<bool>,
        rooms: &[Room],
        identity: Rc<Identity>,
    ) -> Result<Self, Refusal> {
        let mut rooms = rooms.to_vec();
        let own = identity.user_room().filter(|own| form != WireForm::WebSocketRaw && !rooms.contains(own));
        rooms.extend(own);
        let session = Self::new(core, form, echo, rooms.len());
        session.sign_in(identity)?;
        session.join(&rooms).await?;
        session.expect_token();
        Ok(session)
    }

    /// A conversation that ends at once, for a client that could not be told otherwise.
    pub fn ended(core: &Rc<Core>, form: WireForm, close: Close) -> Self {
        let session = Self::new(core, form, None, 0);
        session.outbox.close(close);
        session
    }

    fn new(core: &Rc<Core>, form: WireForm, echo: Option<bool>, rooms: usize) -> Self {
        let stats = core.stats();
        stats.connections[form as usize].add(1);
        stats.opened[form as usize].add(1);
        let outbox = Rc::new(Outbox::new(core.settings().outbox_bytes, form, stats.clone()));
        let id = core.next_id();
        let pulse = Rc::new(Pulse::new(id, Rc::clone(&outbox), form, core.second()));
        // A poll is answered sooner than it could be asked for a sign of life.
        if form != WireForm::Poll {
            core.register(&pulse);
        }
        // With one room the ids of its messages are the cursor, and the same for everybody.
        let needs_cursor = form == WireForm::Poll || (form.is_sse() && rooms > 1);
        let cursor = needs_cursor.then(Rc::default);
        Self {
            core: Rc::clone(core),
            id,
            form,
            echo,
            outbox,
            pulse,
            cursor,
            joined: RefCell::default(),
            identity: RefCell::new(Rc::clone(core.nobody())),
            signed_in: RefCell::default(),
            rate_limit: RefCell::default(),
        }
    }

    /// Has what comes written to `sink` without waking the connection's writer, where that goes at once.
    pub fn write_directly(&self, sink: Weak<dyn Sink>) {
        self.outbox.write_directly(self.core.shard().turns(), sink);
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn form(&self) -> WireForm {
        self.form
    }

    /// Who the client is.
    pub(crate) fn identity(&self) -> Rc<Identity> {
        Rc::clone(&self.identity.borrow())
    }

    pub(crate) fn set_identity(&self, identity: Rc<Identity>) {
        *self.identity.borrow_mut() = identity;
    }

    pub(crate) fn signed_in(&self) -> RefMut<'_, Option<Box<(SignedIn, Counted)>>> {
        self.signed_in.borrow_mut()
    }

    pub(crate) fn rate_limit(&self) -> RefMut<'_, RateLimit> {
        self.rate_limit.borrow_mut()
    }

    pub(crate) fn pulse(&self) -> &Rc<Pulse> {
        &self.pulse
    }

    /// What is to be written to the client.
    pub fn outbox(&self) -> &Rc<Outbox> {
        &self.outbox
    }

    /// Has messages compressed: client and server have agreed on it. To be called before [`greet`](Self::greet).
    pub fn compress(&self, window: Window) {
        if let Some(compression) = self.core.compression() {
            self.outbox.compress_with(compression.compressor(window));
        }
    }

    /// What all conversations of the core share.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// The peer has shown that it lives.
    pub fn seen(&self) {
        self.pulse.seen();
    }

    /// Joins the rooms that the request named, before anything is answered. Their messages are held
    /// until [`greet`](Self::greet).
    async fn join(&self, rooms: &[Room]) -> Result<(), Refusal> {
        // All or none: a refused request has not made the broker subscribe to half of its rooms.
        for (count, room) in rooms.iter().enumerate() {
            rules::may_subscribe(&self.core.settings(), &self.identity(), room, count)?;
        }
        for room in rooms {
            self.enter(room)?;
        }
        timeout(CONFIRMATION_LIMIT, self.confirmed()).await.map_err(|_| Refusal::unavailable())
    }

    /// Says hello, tells how each room begins, and lets messages through: first what was missed since
    /// `after`, the cursor where the client had stopped. Gives the rooms where history could not cover
    /// the gap; those that keep none are not among them.
    pub async fn greet(&self, after: Option<&str>) -> Result<Vec<Room>, Refusal> {
        let memberships: Vec<_> =
            self.joined.borrow().iter().map(|joined| Rc::clone(&joined.membership)).collect();
        let planning = async {
            let mut plans = Vec::with_capacity(memberships.len());
            for membership in memberships {
                let plan = self.plan(&membership, after).await;
                plans.push((membership, plan));
            }
            plans
        };
        let plans = timeout(CONFIRMATION_LIMIT, planning).await.map_err(|_| Refusal::unavailable())?;
        // Nothing is promised of a room that a backend has taken the client out of meanwhile.
        let there = plans.into_iter().filter(|(membership, _)| !membership.has_ended());
        let plans: Vec<_> = there.collect();
        self.pulse.greeted();
        let settings = self.core.settings();
        match self.form {
            WireForm::WebSocketRaw | WireForm::Poll => {}
            WireForm::WebSocketJson => {
                let identity = self.identity();
                let (user, heartbeat_s) = (identity.user.as_deref(), settings.client_heartbeat_s());
                self.reply(&reply::welcome(self.id, &settings.node, user, heartbeat_s));
                for (membership, plan) in &plans {
                    let id = plan.start.map(resume::dated);
                    self.reply(&reply::subscribed(membership.room(), id, plan.verdict, None));
                }
            }
            WireForm::Sse | WireForm::SseJson => {
                let rooms: Vec<_> = plans.iter().map(|(m, plan)| (m.room().clone(), plan.verdict)).collect();
                let user = self.identity().user.clone();
                let connected = reply::connected(self.id, &settings.node, user.as_deref(), &rooms);
                let retry_ms = settings.sse_retry.as_millis() as u64;
                self.send(sse::greeting(retry_ms, self.first_cursor(&plans).as_ref(), &connected));
            }
        }
        if let Some(cursor) = &self.cursor {
            for (membership, plan) in &plans {
                plan.start.inspect(|start| cursor.advance(membership.room(), resume::dated(*start)));
            }
        }
        // A room without history has nothing to be reset to.
        let missed = plans.iter().filter(|(_, plan)| plan.verdict.missed && plan.start.is_some());
        let missed = missed.map(|(membership, _)| membership.room().clone()).collect();
        for (membership, plan) in plans {
            self.begin_room(membership, plan);
        }
        Ok(missed)
    }

    /// Where the client stands in all its rooms, if any keeps history.
    pub fn cursor(&self) -> Option<Cursor> {
        self.cursor.as_ref()?.cursor()
    }

    /// The id of the event `connected`: what a client sends back that is cut off before any message.
    fn first_cursor(&self, plans: &[(Rc<Membership>, Plan)]) -> Option<Cursor> {
        let mut starts =
            plans.iter().filter_map(|(m, plan)| Some((m.room(), resume::dated(plan.start?)))).peekable();
        starts.peek()?;
        if self.cursor.is_some() {
            return Some(Cursor::over(starts));
        }
        starts.next().map(|(_, start)| Cursor::single(start))
    }

    pub(crate) async fn plan(&self, membership: &Membership, after: Option<&str>) -> Plan {
        let plan = resume::plan(self.core.shard(), membership.room(), membership.start(), after).await;
        // Where nothing is kept, nobody was promised anything.
        if after.is_some() && plan.start.is_some() {
            let stats = self.core.stats();
            let counter = if plan.verdict.resumed { &stats.resumes_complete } else { &stats.resumes_missed };
            counter.add(1);
        }
        plan
    }

    /// Lets messages through as planned. What was missed goes out no faster than the client takes it.
    pub(crate) fn begin_room(&self, membership: Rc<Membership>, plan: Plan) {
        if plan.missed.is_none() && membership.can_be_released(plan.start) {
            return membership.release(plan.start);
        }
        let (shard, outbox) = (Rc::clone(self.core.shard()), Rc::clone(&self.outbox));
        let room = membership.room().clone();
        let task = tokio::task::spawn_local(resume::catch_up(shard, membership, outbox, plan));
        let mut all = self.joined.borrow_mut();
        if let Some(joined) = all.iter_mut().find(|joined| *joined.membership.room() == room) {
            joined.catching_up = Some(AbortOnDropHandle::new(task));
        }
    }

    /// Becomes a member.
    pub(crate) fn enter(&self, room: &Room) -> Result<Rc<Membership>, Refusal> {
        self.joined.borrow_mut().retain(|joined| !joined.membership.has_ended());
        let count = self.joined.borrow().len();
        rules::may_subscribe(&self.core.settings(), &self.identity(), room, count)?;
        let shard = self.core.shard();
        let who = self.who(room);
        let overflow = self.core.settings().namespaces.of(room).overflow;
        let membership =
            shard.join(room, self.id, &self.outbox, overflow, self.cursor.as_ref(), who.as_ref());
        let membership = Rc::new(membership);
        self.joined.borrow_mut().push(Joined { membership: Rc::clone(&membership), catching_up: None });
        self.needs_no_token();
        Ok(membership)
    }

    pub(crate) fn exit(&self, room: &Room) {
        let mut all = self.joined.borrow_mut();
        if let Some(place) = all.iter().position(|joined| joined.membership.room() == room) {
            all.remove(place);
        }
    }

    /// Waits until every room is confirmed by the broker.
    async fn confirmed(&self) {
        let confirmations: Vec<_> =
            self.joined.borrow().iter().map(|joined| joined.membership.confirmation()).collect();
        for confirmation in confirmations {
            confirmation.await;
        }
    }

    /// The membership of a room, unless it was ended by somebody else.
    pub(crate) fn membership(&self, room: &Room) -> Option<Rc<Membership>> {
        let membership = {
            let all = self.joined.borrow();
            Rc::clone(&all.iter().find(|joined| joined.membership.room() == room)?.membership)
        };
        if membership.has_ended() {
            self.exit(room);
            return None;
        }
        Some(membership)
    }

    /// The rooms that the client is in.
    pub(crate) fn rooms(&self) -> Vec<Room> {
        let all = self.joined.borrow();
        let there = all.iter().filter(|joined| !joined.membership.has_ended());
        there.map(|joined| joined.membership.room().clone()).collect()
    }

    pub(crate) fn first_room(&self) -> Option<Room> {
        self.joined.borrow().first().map(|joined| joined.membership.room().clone())
    }

    /// The client is not told any more who comes and goes in these rooms.
    pub(crate) fn watch_no_more_where(&self, is_over: impl Fn(&Room) -> bool) {
        let all = self.joined.borrow();
        let over = all.iter().filter(|joined| is_over(joined.membership.room()));
        over.for_each(|joined| joined.membership.watch_no_more());
    }

    /// Others see in all rooms who the client is now.
    pub(crate) fn show_who_it_is(&self) {
        for joined in &*self.joined.borrow() {
            joined.membership.show_as(self.who(joined.membership.room()));
        }
    }

    /// Whether the client gets its own message: what it says with the message, else what it said in
    /// its URL, else what the room's namespace says, else what its mode is known for.
    pub(crate) fn echo_in(&self, room: &Room, asked: Option<bool>) -> bool {
        let by_mode = self.form == WireForm::WebSocketJson;
        asked.or(self.echo).or_else(|| self.core.settings().namespaces.of(room).echo).unwrap_or(by_mode)
    }

    pub(crate) fn reply(&self, json: &Bytes) {
        self.send(ws_frame::text(json));
    }

    fn send(&self, bytes: Bytes) {
        if self.outbox.push(Entry::Reply(bytes)).is_err() {
            self.core.stats().slow_consumers.add(1);
            self.outbox.abort(Close::SLOW_CONSUMER);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.core.stats().connections[self.form as usize].sub(1);
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
