//! Signs of life, for all connections of a core at once.
//!
//! One timer per connection would cost more memory than the connection's own state. Instead each
//! connection sits in one of as many slots as the heartbeat has seconds, and each second one slot is
//! looked at: every connection once per heartbeat, evenly spread.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roomcast_hub::stats::Leave;
use roomcast_hub::{Entry, Outbox};
use roomcast_protocol::wire::{sse, ws_frame};
use roomcast_protocol::{Close, ConnectionId, WireForm, reply};

use crate::drain::reconnect;
use crate::settings::MaxAge;

/// Heartbeats without a sign of life after which a peer is taken for dead.
const SILENT_HEARTBEATS_MAX: u8 = 2;

/// What the wheel knows of a connection.
#[derive(Debug)]
pub(crate) struct Pulse {
    id: ConnectionId,
    outbox: Rc<Outbox>,
    form: WireForm,
    /// The client has been greeted; before that it is told nothing.
    greeted: Cell<bool>,
    seen: Cell<bool>,
    silent: Cell<u8>,
    /// When the connection ends at the latest, and how.
    end: RefCell<Option<(Instant, Close)>>,
    /// It is among those whose end is looked for every second.
    ends_soon: Cell<bool>,
    user: RefCell<Option<Arc<str>>>,
    /// When it began, in seconds of the wheel.
    born_s: u32,
    /// What chance takes away from the age it may have.
    luck: u16,
}

/// What came out of looking at one connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// It is on its way out already.
    Closing,
    /// A ping was sent.
    Pinged,
    /// The peer was silent for too long and is being closed.
    Silent,
    /// The ping did not fit: the peer does not read.
    Slow,
    /// Its time is over, and it is being closed.
    Expired,
    /// It is as old as connections may get, and was asked to come back elsewhere.
    Aged,
}

impl Pulse {
    /// A connection that begins `born_s` after the wheel.
    pub(crate) fn new(id: ConnectionId, outbox: Rc<Outbox>, form: WireForm, born_s: u32) -> Self {
        Self {
            id,
            outbox,
            form,
            greeted: Cell::new(false),
            seen: Cell::new(true),
            silent: Cell::new(0),
            end: RefCell::default(),
            ends_soon: Cell::new(false),
            user: RefCell::default(),
            born_s,
            luck: fastrand::u16(..),
        }
    }

    /// Whose connection it is.
    pub(crate) fn user(&self) -> Option<Arc<str>> {
        self.user.borrow().clone()
    }

    pub(crate) fn belongs_to(&self, user: Option<&Arc<str>>) {
        *self.user.borrow_mut() = user.cloned();
    }

    /// When it ends at the latest.
    pub(crate) fn end(&self) -> Option<Instant> {
        self.end.borrow().as_ref().map(|(at, _)| *at)
    }

    /// Ends it, if it is time to.
    fn expire(&self, now: Instant) -> bool {
        if self.end().is_none_or(|at| now < at) {
            return false;
        }
        if let Some((_, close)) = self.end.borrow_mut().take() {
            self.outbox.close(close);
        }
        true
    }

    pub(crate) fn greeted(&self) {
        self.greeted.set(true);
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn form(&self) -> WireForm {
        self.form
    }

    /// Bytes that wait to be written.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.outbox.queued_bytes()
    }

    /// Ends the conversation at an operator's wish.
    pub(crate) fn disconnect(&self) {
        self.outbox.close(Close::DISCONNECTED);
    }

    /// The peer has shown that it lives.
    pub(crate) fn seen(&self) {
        self.seen.set(true);
    }

    fn is_too_old(&self, now_s: u32, max_age: MaxAge) -> bool {
        let age = Duration::from_secs(now_s.saturating_sub(self.born_s).into());
        age >= max_age.with_luck(self.luck)
    }

    fn beat(&self, now_s: u32, max_age: Option<MaxAge>) -> Beat {
        // Once a heartbeat is soon enough: ages are minutes.
        if !self.is_leaving() && max_age.is_some_and(|max_age| self.is_too_old(now_s, max_age)) {
            self.leave(Leave::Age, reconnect());
            return Beat::Aged;
        }
        if self.outbox.is_closing() {
            // What a peer does not take in all the time that a silent one is given, it does not get.
            self.silent.set(self.silent.get().saturating_add(1));
            if self.silent.get() > SILENT_HEARTBEATS_MAX {
                self.outbox.abort(Close::SILENT);
            }
            return Beat::Closing;
        }
        // An SSE client cannot answer; that it takes what is written is all that can be seen.
        let alive = self.seen.take() || (self.form.is_sse() && self.outbox.take_progress());
        self.silent.set(if alive { 0 } else { self.silent.get() + 1 });
        if self.silent.get() >= SILENT_HEARTBEATS_MAX {
            self.outbox.abort(Close::SILENT);
            return Beat::Silent;
        }
        let ping = if self.form.is_sse() { sse::PING } else { ws_frame::EMPTY_PING };
        match self.outbox.push(Entry::Reply(Bytes::from_static(ping))) {
            Ok(()) => Beat::Pinged,
            Err(_) => {
                self.outbox.abort(Close::SLOW_CONSUMER);
                Beat::Slow
            }
        }
    }

    /// It has been told to go.
    pub(crate) fn is_leaving(&self) -> bool {
        self.outbox.is_closing()
    }

    /// Tells the client to come back elsewhere after `reconnect`, then ends the conversation.
    pub(crate) fn leave(&self, reason: Leave, reconnect: Duration) {
        let reconnect_ms = reconnect.as_millis() as u64;
        if !self.greeted.get() {
            // An event before the first id would take the place of what an EventSource remembers.
            return self.outbox.close(Close::drain(reconnect_ms));
        }
        let goodbye = reply::goodbye(reason.as_str(), reconnect_ms);
        let last = match self.form {
            WireForm::WebSocketRaw | WireForm::Poll => None,
            WireForm::WebSocketJson => Some(ws_frame::text(&goodbye)),
            WireForm::Sse | WireForm::SseJson => Some(sse::farewell(reconnect_ms, &goodbye)),
        };
        // A client that has no room for it learns as much from the close that follows.
        let _ = last.map(|bytes| self.outbox.push(Entry::Reply(bytes)));
        self.outbox.close(Close::drain(reconnect_ms));
    }

    /// Ends the conversation at once: the node stops.
    pub(crate) fn stop(&self) {
        self.outbox.abort(Close::GOING_AWAY);
    }
}

/// The slots of one core.
#[derive(Debug)]
pub(crate) struct Wheel {
    began: Instant,
    slots: Vec<Vec<Weak<Pulse>>>,
    at: usize,
    next: usize,
    heartbeat: Duration,
    /// Connections that end before they are looked at again. Each is in it once.
    ending: Vec<Weak<Pulse>>,
}

impl Wheel {
    /// A wheel that looks at each connection once in `heartbeat`, which is at least a second.
    pub(crate) fn new(heartbeat: Duration) -> Self {
        let slots = heartbeat.as_secs().max(1) as usize;
        Self {
            began: Instant::now(),
            slots: vec![Vec::new(); slots],
            at: 0,
            next: 0,
            heartbeat,
            ending: Vec::new(),
        }
    }

    /// Whole seconds since the wheel began to turn.
    pub(crate) fn second(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.began).as_secs()).unwrap_or(u32::MAX)
    }

    pub(crate) fn add(&mut self, pulse: &Rc<Pulse>) {
        // Round robin over the slots keeps them equally full, whenever the connections came.
        self.next = (self.next + 1) % self.slots.len();
        self.slots[self.next].push(Rc::downgrade(pulse));
    }

    /// The connection ends at this time, or has no end, unless that is changed before.
    pub(crate) fn ends(&mut self, pulse: &Rc<Pulse>, at: Option<Instant>, close: Close) {
        *pulse.end.borrow_mut() = at.map(|at| (at, close));
        // Every connection is looked at once a heartbeat; who may end before that is looked at every second.
        self.watch_end(pulse, Instant::now());
    }

    fn watch_end(&mut self, pulse: &Rc<Pulse>, now: Instant) {
        let soon = pulse.end().is_some_and(|at| at <= now + self.heartbeat * 2);
        if soon && !pulse.ends_soon.replace(true) {
            self.ending.push(Rc::downgrade(pulse));
        }
    }

    /// One second has gone by: looks at the next slot, ends what has come to its end, and forgets connections that
    /// are gone.
    pub(crate) fn tick(&mut self, now: Instant, max_age: Option<MaxAge>, mut beaten: impl FnMut(Beat)) {
        let now_s = self.second(now);
        self.at = (self.at + 1) % self.slots.len();
        let mut slot = std::mem::take(&mut self.slots[self.at]);
        slot.retain(|pulse| {
            let Some(pulse) = pulse.upgrade() else { return false };
            beaten(pulse.beat(now_s, max_age));
            self.watch_end(&pulse, now);
            true
        });
        slot.shrink_to(slot.len() * 2);
        self.slots[self.at] = slot;
        self.ending.retain(|pulse| {
            let Some(pulse) = pulse.upgrade() else { return false };
            if pulse.expire(now) {
                beaten(Beat::Expired);
            }
            let goes_on = pulse.end().is_some();
            pulse.ends_soon.set(goes_on);
            goes_on
        });
    }

    /// Everyone who is connected.
    pub(crate) fn everyone(&self) -> Vec<Rc<Pulse>> {
        self.slots.iter().flatten().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
#[path = "heartbeat_tests.rs"]
mod tests;
