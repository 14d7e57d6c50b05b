//! One room on one core: its members, and one message to all of them.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use roomcast_protocol::{Close, ConnectionId, Push, WireForm};
use slab::Slab;

use crate::outbox::{Entry, Outbox};
use crate::stats::ShardStats;

/// Most messages that are kept for a member between its joining and its release, which is one
/// round trip to the broker. A room that is faster than that closes the member as slow.
pub(crate) const HELD_MESSAGES_MAX: usize = 4096;

/// A room with, usually, members.
#[derive(Debug)]
pub(crate) struct RoomEntry {
    pub(crate) members: Slab<Member>,
    /// Tells this stay of the room on the shard from an earlier one.
    pub(crate) stay: u32,
    /// The broker has confirmed the subscription, and has not lost it since.
    pub(crate) live: bool,
    /// When the last member left; the room is given up a while later.
    pub(crate) empty_since: Option<Instant>,
}

/// One connection in one room.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) connection: ConnectionId,
    pub(crate) form: WireForm,
    pub(crate) outbox: Rc<Outbox>,
    /// Messages that came before the member was released; `None` once it is.
    pub(crate) held: Option<VecDeque<Arc<Push>>>,
    /// Waits for the room to be live.
    pub(crate) waiting: Option<Waker>,
}

impl RoomEntry {
    pub(crate) fn new(stay: u32) -> Self {
        Self { members: Slab::new(), stay, live: false, empty_since: None }
    }

    pub(crate) fn confirmed(&mut self) {
        self.live = true;
        for (_, member) in &mut self.members {
            if let Some(waker) = member.waiting.take() {
                waker.wake();
            }
        }
    }

    /// One message to every member but the one that it is not for.
    pub(crate) fn fan_out(&mut self, push: &Arc<Push>, stats: &ShardStats) {
        // One reference-counted handle per wire form and core: clones are plain additions.
        let mut shared: [Option<Rc<Bytes>>; WireForm::COUNT] = Default::default();
        let except = push.publication().except;
        for (_, member) in &mut self.members {
            if except == Some(member.connection) {
                continue;
            }
            if let Some(held) = &mut member.held {
                if held.len() < HELD_MESSAGES_MAX {
                    held.push_back(Arc::clone(push));
                } else {
                    overflow(&member.outbox, stats);
                }
                continue;
            }
            let bytes =
                shared[member.form as usize].get_or_insert_with(|| Rc::new(push.form(member.form).clone()));
            if member.outbox.push(Entry::Message(Rc::clone(bytes))).is_err() {
                overflow(&member.outbox, stats);
            }
        }
    }
}

impl Member {
    /// Lets messages through, beginning with those that were held.
    pub(crate) fn release(&mut self, stats: &ShardStats) {
        for push in self.held.take().into_iter().flatten() {
            let bytes = Rc::new(push.form(self.form).clone());
            if self.outbox.push(Entry::Message(bytes)).is_err() {
                overflow(&self.outbox, stats);
                return;
            }
        }
    }
}

fn overflow(outbox: &Outbox, stats: &ShardStats) {
    if outbox.is_closing() {
        return;
    }
    stats.slow_consumers.add(1);
    outbox.abort(Close::SLOW_CONSUMER);
}
