//! One room on one core: its members, and one message to all of them.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use roomcast_protocol::wire::{sse, ws_frame};
use roomcast_protocol::{Close, ConnectionId, Position, Push, Room, WireForm, reply};
use slab::Slab;

use crate::cursor::StreamCursor;
use crate::outbox::{Entry, Outbox};
use crate::stats::ShardStats;

/// Most messages that are kept for a member between its joining and its release. In a room with history
/// the member reads on where they do not suffice; in one without it is closed as slow.
pub(crate) const HELD_MESSAGES_MAX: usize = 4096;

/// A room with, usually, members.
#[derive(Debug)]
pub(crate) struct RoomEntry {
    pub(crate) members: Slab<Member>,
    /// Tells this stay of the room on the shard from an earlier one.
    pub(crate) stay: u32,
    /// The broker has confirmed the subscription, and has not lost it since.
    pub(crate) live: bool,
    /// The room's last message so far, or the place before the first; none if it keeps no history.
    pub(crate) top: Option<Position>,
    /// When the last member left; the room is given up a while later.
    pub(crate) empty_since: Option<Instant>,
}

/// One connection in one room.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) connection: ConnectionId,
    pub(crate) form: WireForm,
    pub(crate) outbox: Rc<Outbox>,
    /// Of streams whose ids speak of several rooms.
    pub(crate) cursor: Option<Rc<StreamCursor>>,
    /// Messages that came before the member was released; `None` once it is.
    pub(crate) held: Option<Held>,
    /// Waits for the room to be live.
    pub(crate) waiting: Option<Waker>,
}

/// The newest messages that came before a member was released.
#[derive(Debug, Default)]
pub(crate) struct Held {
    messages: VecDeque<Arc<Push>>,
    /// Older ones did not fit.
    incomplete: bool,
}

/// Handles of one message, one for each wire form in use: clones of them are plain additions.
#[derive(Default)]
struct Shared([Option<Rc<Bytes>>; 2 * WireForm::COUNT]);

impl Shared {
    fn handle(&mut self, push: &Push, form: WireForm, with_id: bool) -> Rc<Bytes> {
        let slot = &mut self.0[2 * form as usize + usize::from(with_id)];
        let bytes = || if with_id { push.form(form) } else { push.form_without_id(form) };
        Rc::clone(slot.get_or_insert_with(|| Rc::new(bytes().clone())))
    }
}

impl RoomEntry {
    pub(crate) fn new(stay: u32) -> Self {
        Self { members: Slab::new(), stay, live: false, top: None, empty_since: None }
    }

    pub(crate) fn confirmed(&mut self, top: Option<Position>) {
        self.live = true;
        self.top = top.or(self.top);
        for (_, member) in &mut self.members {
            if let Some(waker) = member.waiting.take() {
                waker.wake();
            }
        }
    }

    /// One message to every member but the one that it is not for.
    pub(crate) fn fan_out(&mut self, push: &Arc<Push>, stats: &ShardStats) {
        let mut shared = Shared::default();
        self.top = push.publication().position.or(self.top);
        let except = push.publication().except;
        for (_, member) in &mut self.members {
            if except == Some(member.connection) {
                continue;
            }
            match &mut member.held {
                Some(held) => {
                    if held.keep(push).is_err() {
                        overflow(&member.outbox, stats);
                    }
                }
                None => member.push(push, &mut shared, stats),
            }
        }
    }

    /// Tells every member that messages are missing. One that is still joining finds out by itself.
    pub(crate) fn reset(&mut self, room: &Room, stats: &ShardStats) {
        let websocket = Rc::new(ws_frame::text(&reply::reset(room)));
        let stream = Rc::new(sse::event(Some("reset"), None, &reply::reset_data(room)));
        for (_, member) in self.members.iter().filter(|(_, member)| member.held.is_none()) {
            let bytes = match member.form {
                // Raw mode has no word for it; a poll finds out when it is repeated.
                WireForm::WebSocketRaw | WireForm::Poll => continue,
                WireForm::WebSocketJson => &websocket,
                WireForm::Sse | WireForm::SseJson => &stream,
            };
            if member.outbox.push(Entry::Message(Rc::clone(bytes))).is_err() {
                overflow(&member.outbox, stats);
            }
        }
    }
}

impl Member {
    /// Queues one message for the client, with its id where the client wants ids.
    fn push(&self, push: &Push, shared: &mut Shared, stats: &ShardStats) {
        let publication = push.publication();
        let id_of_stream = self.cursor.as_ref().zip(publication.position).and_then(|(cursor, position)| {
            cursor.advance(&publication.room, position);
            cursor.field().filter(|_| self.form.is_sse())
        });
        let with_id = self.cursor.is_none();
        let id = id_of_stream.map_or(Ok(()), |id| self.outbox.push(Entry::Reply(id)));
        let message = Entry::Message(shared.handle(push, self.form, with_id));
        if id.and_then(|()| self.outbox.push(message)).is_err() {
            overflow(&self.outbox, stats);
        }
    }

    /// Gives the client a message out of turn: one that it missed.
    pub(crate) fn deliver(&self, push: &Push, stats: &ShardStats) {
        self.push(push, &mut Shared::default(), stats);
    }

    /// Whether nothing is missing between `after` and what is held.
    pub(crate) fn can_be_released(&self, after: Option<Position>) -> bool {
        let Some(held) = &self.held else { return true };
        let Some(after) = after else { return true };
        let first = held.messages.iter().find_map(|push| push.publication().position);
        first.is_none_or(|first| first <= after || after.is_followed_by(first))
            && !(held.incomplete && first.is_none())
    }

    /// Lets messages through, beginning with those that were held and come after `after`.
    pub(crate) fn release(&mut self, after: Option<Position>, stats: &ShardStats) {
        let Some(held) = self.held.take() else { return };
        for push in held.messages {
            let position = push.publication().position;
            if position.is_some() && position <= after {
                continue;
            }
            self.deliver(&push, stats);
        }
    }
}

impl Held {
    /// Keeps a message; an error if that is one too many and there is no history to read it from.
    fn keep(&mut self, push: &Arc<Push>) -> Result<(), ()> {
        if self.messages.len() >= HELD_MESSAGES_MAX {
            if push.publication().position.is_none() {
                return Err(());
            }
            self.messages.pop_front();
            self.incomplete = true;
        }
        self.messages.push_back(Arc::clone(push));
        Ok(())
    }
}

fn overflow(outbox: &Outbox, stats: &ShardStats) {
    if outbox.is_closing() {
        return;
    }
    stats.slow_consumers.add(1);
    outbox.abort(Close::SLOW_CONSUMER);
}
