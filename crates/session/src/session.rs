//! A connection's side of the conversation, carried out.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use roomcast_hub::{Entry, Membership, Outbox, StreamCursor};
use roomcast_protocol::command::{Ref, Request};
use roomcast_protocol::reply::{self, Verdict};
use roomcast_protocol::wire::{sse, ws_frame};
use roomcast_protocol::{
    Close, Command, ConnectionId, Cursor, ErrorCode, Payload, PayloadKind, Room, WireForm,
};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::core::Core;
use crate::heartbeat::Pulse;
use crate::presence::keeps_presence;
use crate::refusal::Refusal;
use crate::resume::{self, Plan};
use crate::rules::{self, Client, Draft};

/// How long a subscription may wait for the broker's confirmation. Longer than a reconnect after a
/// blip, shorter than a client's patience.
const CONFIRMATION_LIMIT: Duration = Duration::from_secs(5);

/// The conversation ends, at the session's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End;

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
}

/// One room that the client is in.
#[derive(Debug)]
struct Joined {
    membership: Rc<Membership>,
    /// Gives the client what it has missed; ended with the membership.
    catching_up: Option<AbortOnDropHandle<()>>,
}

impl Session {
    /// Begins a conversation about `rooms` rooms. Nothing is sent before [`greet`](Self::greet).
    pub fn new(core: &Rc<Core>, form: WireForm, echo: Option<bool>, rooms: usize) -> Self {
        let stats = core.stats();
        stats.connections[form as usize].add(1);
        stats.opened[form as usize].add(1);
        let outbox = Rc::new(Outbox::new(core.settings().outbox_bytes, form, stats.clone()));
        let id = core.next_id();
        let pulse = Rc::new(Pulse::new(id, Rc::clone(&outbox), form));
        // A poll is answered sooner than it could be asked for a sign of life.
        if form != WireForm::Poll {
            core.register(&pulse);
        }
        // With one room the ids of its messages are the cursor, and the same for everybody.
        let needs_cursor = form == WireForm::Poll || (form.is_sse() && rooms > 1);
        let cursor = needs_cursor.then(Rc::default);
        Self { core: Rc::clone(core), id, form, echo, outbox, pulse, cursor, joined: RefCell::default() }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn form(&self) -> WireForm {
        self.form
    }

    /// What is to be written to the client.
    pub fn outbox(&self) -> &Rc<Outbox> {
        &self.outbox
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
    pub async fn join(&self, rooms: &[Room]) -> Result<(), Refusal> {
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
        self.pulse.greeted();
        let settings = self.core.settings();
        match self.form {
            WireForm::WebSocketRaw | WireForm::Poll => {}
            WireForm::WebSocketJson => {
                self.reply(&reply::welcome(self.id, &settings.node, None, settings.client_heartbeat_s()));
                for (membership, plan) in &plans {
                    let id = plan.start.map(resume::dated);
                    self.reply(&reply::subscribed(membership.room(), id, plan.verdict, None));
                }
            }
            WireForm::Sse | WireForm::SseJson => {
                let rooms: Vec<_> = plans.iter().map(|(m, plan)| (m.room().clone(), plan.verdict)).collect();
                let connected = reply::connected(self.id, &settings.node, None, &rooms);
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
            self.begin(membership, plan);
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

    async fn plan(&self, membership: &Membership, after: Option<&str>) -> Plan {
        resume::plan(self.core.shard(), membership.room(), membership.start(), after).await
    }

    /// Lets messages through as planned. What was missed goes out no faster than the client takes it.
    fn begin(&self, membership: Rc<Membership>, plan: Plan) {
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

    /// A whole message has come from the client.
    pub async fn receive(&self, text: bool, message: Bytes) -> Result<(), End> {
        let stats = self.core.stats();
        stats.received[self.form as usize].add(1);
        stats.received_bytes.add(message.len() as u64);
        match self.form {
            WireForm::WebSocketRaw => self.receive_raw(text, message).await,
            _ if text => {
                self.receive_command(&message).await;
                Ok(())
            }
            _ => {
                self.outbox.close(Close::new(1003, "JSON mode takes text frames only"));
                Err(End)
            }
        }
    }

    /// Raw mode has no answers: a message that may not be published ends the conversation, one that
    /// cannot be published now is lost, as it would be on the network.
    async fn receive_raw(&self, text: bool, bytes: Bytes) -> Result<(), End> {
        let Some(room) = self.joined.borrow().first().map(|joined| joined.membership.room().clone()) else {
            return Ok(());
        };
        let kind = if text { PayloadKind::Untyped } else { PayloadKind::Bytes };
        let draft =
            Draft { echo: self.echo_in(&room, None), room, event: None, payload: Payload::new(kind, bytes) };
        match self.core.publish(self.client(), draft, None).await {
            Err(refusal) if refusal.code == ErrorCode::Forbidden => {
                self.outbox.close(Close::new(4403, refusal.message));
                Err(End)
            }
            Err(refusal) if refusal.code == ErrorCode::TooLarge => {
                self.outbox.close(Close::new(1009, refusal.message));
                Err(End)
            }
            _ => Ok(()),
        }
    }

    async fn receive_command(&self, frame: &Bytes) {
        let Request { reference, command } = match Request::parse(frame) {
            Ok(request) => request,
            Err(error) => {
                return self.reply(&reply::error(error.code, &error.message, error.reference.as_ref()));
            }
        };
        let reference = reference.as_ref();
        let result = match command {
            Command::Subscribe { room, after, presence } => {
                self.subscribe(&room, after.as_deref(), presence, reference).await
            }
            Command::Unsubscribe { room } => {
                self.unsubscribe(&room, reference);
                Ok(())
            }
            Command::Publish { room, event, payload, echo, key } => {
                let echo = self.echo_in(&room, echo);
                let result =
                    self.core.publish(self.client(), Draft { room, event, payload, echo }, key).await;
                result.map(|position| self.reply(&reply::ok(position, reference)))
            }
            Command::History { room, after, limit } => {
                match self.core.history(&room, after.as_deref(), limit).await {
                    Ok(page) => {
                        self.reply(&reply::history(&room, page.top, &page.messages, reference));
                        Ok(())
                    }
                    Err(refusal) => Err(refusal),
                }
            }
            Command::Presence { room } => match self.core.members(&room).await {
                Ok(members) => {
                    self.reply(&reply::members(&room, &members, reference));
                    Ok(())
                }
                Err(refusal) => Err(refusal),
            },
            Command::Ping => {
                self.reply(&reply::pong(reference));
                Ok(())
            }
        };
        if let Err(refusal) = result {
            self.reply(&reply::error(refusal.code, &refusal.message, reference));
        }
    }

    async fn subscribe(
        &self,
        room: &Room,
        after: Option<&str>,
        presence: bool,
        reference: Option<&Ref>,
    ) -> Result<(), Refusal> {
        if presence {
            keeps_presence(&self.core.settings(), room)?;
        }
        if let Some(membership) = self.membership(room) {
            let id = membership.start().map(resume::dated);
            self.reply(&reply::subscribed(room, id, Verdict::default(), reference));
            if presence {
                membership.watch().await;
            }
            return Ok(());
        }
        let membership = self.enter(room)?;
        if timeout(CONFIRMATION_LIMIT, membership.confirmation()).await.is_err() {
            self.exit(room);
            return Err(Refusal::unavailable());
        }
        let Ok(plan) = timeout(CONFIRMATION_LIMIT, self.plan(&membership, after)).await else {
            self.exit(room);
            return Err(Refusal::unavailable());
        };
        // Cut off before anything else, the client comes back with this.
        let id = plan.start.map(resume::dated);
        self.reply(&reply::subscribed(room, id, plan.verdict, reference));
        self.begin(Rc::clone(&membership), plan);
        if presence {
            membership.watch().await;
        }
        Ok(())
    }

    fn unsubscribe(&self, room: &Room, reference: Option<&Ref>) {
        self.exit(room);
        self.reply(&reply::unsubscribed(room, reference));
    }

    /// Becomes a member.
    fn enter(&self, room: &Room) -> Result<Rc<Membership>, Refusal> {
        let count = self.joined.borrow().len();
        rules::may_subscribe(&self.core.settings(), self.client(), room, count)?;
        let shard = self.core.shard();
        let who = self.who(room);
        let overflow = self.core.settings().namespaces.of(room).overflow;
        let membership =
            shard.join(room, self.id, &self.outbox, overflow, self.cursor.as_ref(), who.as_ref());
        let membership = Rc::new(membership);
        self.joined.borrow_mut().push(Joined { membership: Rc::clone(&membership), catching_up: None });
        Ok(membership)
    }

    fn exit(&self, room: &Room) {
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

    fn membership(&self, room: &Room) -> Option<Rc<Membership>> {
        let all = self.joined.borrow();
        all.iter().find(|joined| joined.membership.room() == room).map(|joined| Rc::clone(&joined.membership))
    }

    fn client(&self) -> Client<'_> {
        Client { user: None, connection: Some(self.id) }
    }

    /// Whether the client gets its own message: what it says with the message, else what it said in
    /// its URL, else what the room's namespace says, else what its mode is known for.
    fn echo_in(&self, room: &Room, asked: Option<bool>) -> bool {
        let by_mode = self.form == WireForm::WebSocketJson;
        asked.or(self.echo).or_else(|| self.core.settings().namespaces.of(room).echo).unwrap_or(by_mode)
    }

    fn reply(&self, json: &Bytes) {
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
