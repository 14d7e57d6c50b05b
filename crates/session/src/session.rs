//! A connection's side of the conversation, carried out.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use roomcast_hub::{Entry, Membership, Outbox};
use roomcast_protocol::command::{Ref, Request};
use roomcast_protocol::reply::{self, Verdict};
use roomcast_protocol::wire::{sse, ws_frame};
use roomcast_protocol::{Close, Command, ConnectionId, ErrorCode, Payload, PayloadKind, Room, WireForm};
use tokio::time::timeout;

use crate::core::Core;
use crate::heartbeat::Pulse;
use crate::refusal::Refusal;
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
    memberships: RefCell<Vec<Membership>>,
}

impl Session {
    /// Begins a conversation. Nothing is sent before [`greet`](Self::greet).
    pub fn new(core: &Rc<Core>, form: WireForm, echo: Option<bool>) -> Self {
        let stats = core.stats();
        stats.connections[form as usize].add(1);
        stats.opened[form as usize].add(1);
        let outbox = Rc::new(Outbox::new(core.settings().outbox_bytes, form, stats.clone()));
        let pulse = Rc::new(Pulse::new(Rc::clone(&outbox), form));
        core.register(&pulse);
        let (core, id) = (Rc::clone(core), core.next_id());
        Self { core, id, form, echo, outbox, pulse, memberships: RefCell::default() }
    }

    /// What is to be written to the client.
    pub fn outbox(&self) -> &Rc<Outbox> {
        &self.outbox
    }

    /// The connection's id.
    pub fn id(&self) -> ConnectionId {
        self.id
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

    /// Says hello, tells the rooms that were joined, and lets their messages through. `resuming` is
    /// whether the client said where it had stopped.
    pub fn greet(&self, resuming: bool) {
        let memberships = self.memberships.borrow();
        let settings = self.core.settings();
        match self.form {
            WireForm::WebSocketRaw => {}
            WireForm::WebSocketJson => {
                self.reply(&reply::welcome(self.id, &settings.node, None, settings.client_heartbeat_s()));
                for membership in &*memberships {
                    self.reply(&reply::subscribed(membership.room(), None, verdict(resuming), None));
                }
            }
            WireForm::Sse | WireForm::SseJson => {
                let rooms: Vec<_> =
                    memberships.iter().map(|m| (m.room().clone(), verdict(resuming))).collect();
                let connected = reply::connected(self.id, &settings.node, None, &rooms);
                self.send(sse::greeting(settings.sse_retry.as_millis() as u64, &connected));
            }
        }
        memberships.iter().for_each(Membership::release);
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
        let Some(room) = self.memberships.borrow().first().map(|m| m.room().clone()) else { return Ok(()) };
        let kind = if text { PayloadKind::Untyped } else { PayloadKind::Bytes };
        let draft =
            Draft { echo: self.echo_in(&room, None), room, event: None, payload: Payload::new(kind, bytes) };
        match self.core.publish(self.client(), draft).await {
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
            Command::Subscribe { room, after } => self.subscribe(&room, after.is_some(), reference).await,
            Command::Unsubscribe { room } => {
                self.unsubscribe(&room, reference);
                Ok(())
            }
            Command::Publish { room, event, payload, echo } => {
                let echo = self.echo_in(&room, echo);
                let result = self.core.publish(self.client(), Draft { room, event, payload, echo }).await;
                result.map(|position| self.reply(&reply::ok(position, reference)))
            }
            Command::Ping => {
                self.reply(&reply::pong(reference));
                Ok(())
            }
        };
        if let Err(refusal) = result {
            self.reply(&reply::error(refusal.code, &refusal.message, reference));
        }
    }

    async fn subscribe(&self, room: &Room, resuming: bool, reference: Option<&Ref>) -> Result<(), Refusal> {
        if self.position_of(room).is_none() {
            self.enter(room)?;
            if timeout(CONFIRMATION_LIMIT, self.confirmed()).await.is_err() {
                self.exit(room);
                return Err(Refusal::unavailable());
            }
        }
        self.reply(&reply::subscribed(room, None, verdict(resuming), reference));
        self.memberships.borrow().iter().filter(|m| m.room() == room).for_each(Membership::release);
        Ok(())
    }

    fn unsubscribe(&self, room: &Room, reference: Option<&Ref>) {
        self.exit(room);
        self.reply(&reply::unsubscribed(room, reference));
    }

    /// Becomes a member, unless the client is one already.
    fn enter(&self, room: &Room) -> Result<(), Refusal> {
        if self.position_of(room).is_some() {
            return Ok(());
        }
        let joined = self.memberships.borrow().len();
        rules::may_subscribe(&self.core.settings(), self.client(), room, joined)?;
        let membership = self.core.shard().join(room, self.id, self.form, &self.outbox);
        self.memberships.borrow_mut().push(membership);
        Ok(())
    }

    fn exit(&self, room: &Room) {
        if let Some(position) = self.position_of(room) {
            self.memberships.borrow_mut().remove(position);
        }
    }

    /// Waits until every room is confirmed by the broker.
    async fn confirmed(&self) {
        let confirmations: Vec<_> = self.memberships.borrow().iter().map(Membership::confirmation).collect();
        for confirmation in confirmations {
            confirmation.await;
        }
    }

    fn position_of(&self, room: &Room) -> Option<usize> {
        self.memberships.borrow().iter().position(|membership| membership.room() == room)
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

/// No room keeps history yet: whoever wants to resume is told that the gap is not covered.
fn verdict(resuming: bool) -> Verdict {
    Verdict { resumed: false, missed: resuming }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.core.stats().connections[self.form as usize].sub(1);
    }
}
