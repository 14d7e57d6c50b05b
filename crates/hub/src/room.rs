//! One room on one core: its members, and one message to all of them.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use roomcast_protocol::encoded::{COMPRESSED_COUNT, compressed_place};
use roomcast_protocol::wire::{sse, ws_frame};
use roomcast_protocol::{Close, ConnectionId, MemberId, Position, Push, Room, WireForm, reply};
use slab::Slab;

use crate::cursor::StreamCursor;
use crate::outbox::{Entry, Outbox};
use crate::overflow::Lane;
use crate::stats::ShardStats;

/// Most messages that are kept for a member between its joining and its release. In a room with history
/// the member reads on where they do not suffice; in one without it is closed as slow, or told how many it misses.
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
    /// In rooms whose messages may be dropped.
    pub(crate) lane: Option<Rc<Lane>>,
    /// Of streams whose ids speak of several rooms.
    pub(crate) cursor: Option<Rc<StreamCursor>>,
    /// Messages that came before the member was released; `None` once it is.
    pub(crate) held: Option<Box<Held>>,
    /// Messages up to here, in the order of the room, the client has already; forgotten once passed.
    pub(crate) has: Option<Position>,
    /// Waits for the room to be live.
    pub(crate) waiting: Option<Waker>,
    /// As whom others see it, in rooms that tell.
    pub(crate) who: Option<Rc<Who>>,
    /// Wants the list of who is there, and has not got it yet.
    pub(crate) asks_members: bool,
    /// Hears who comes and goes.
    pub(crate) watches: bool,
    /// Was taken out of the room; only its place is still there.
    pub(crate) ended: bool,
}

/// As whom a connection is seen by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The member that it belongs to.
    pub member: MemberId,
    /// What its token says about it: the text of a JSON value.
    pub info: Option<Arc<str>>,
}

/// The newest messages that came before a member was released.
#[derive(Debug, Default)]
pub(crate) struct Held {
    messages: VecDeque<Arc<Push>>,
    /// Older ones did not fit.
    incomplete: bool,
    /// How many of those cannot be read from history.
    dropped: u64,
    /// Messages were lost, and history could not cover the gap.
    reset: bool,
}

/// Handles of one message, one for each wire form in use: clones of them are plain additions.
#[derive(Default)]
struct Shared {
    plain: [Option<Rc<Bytes>>; 2 * WireForm::COUNT],
    compressed: [Option<Rc<Bytes>>; COMPRESSED_COUNT],
}

impl Shared {
    fn handle(&mut self, push: &Push, member: &Member) -> Rc<Bytes> {
        let (form, with_id) = (member.form, member.cursor.is_none());
        if let Some(compressor) = member.outbox.compressor()
            && let Some(place) = compressed_place(form, compressor.window())
        {
            let slot = &mut self.compressed[place];
            return Rc::clone(slot.get_or_insert_with(|| Rc::new(compressor.form(push, form).clone())));
        }
        let slot = &mut self.plain[2 * form as usize + usize::from(with_id)];
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
        self.top = top;
        for (_, member) in &mut self.members {
            if let Some(waker) = member.waiting.take() {
                waker.wake();
            }
        }
    }

    /// One message to every member but the one that it is not for, in this turn of the shard.
    pub(crate) fn fan_out(&mut self, push: &Arc<Push>, turn: u32, stats: &ShardStats) {
        let mut shared = Shared::default();
        self.top = push.publication().position.or(self.top);
        let except = push.publication().except;
        for (_, member) in &mut self.members {
            if except == Some(member.connection) || member.ended {
                continue;
            }
            match &mut member.held {
                Some(held) => {
                    if held.keep(push, member.lane.is_some()).is_err() {
                        overflow(&member.outbox, stats);
                    }
                }
                None => member.push_new(push, &mut shared, turn, stats),
            }
        }
    }

    /// Who came and went, to everyone who wants to hear it.
    pub(crate) fn tell_presence(&self, frame: &Bytes, stats: &ShardStats) {
        for (_, member) in self.members.iter().filter(|(_, member)| member.watches) {
            member.queue(Entry::Reply(frame.clone()), stats);
        }
    }

    /// Who is there, to those who have asked, and who hear more from now on.
    pub(crate) fn tell_members(&mut self, frame: &Bytes, stats: &ShardStats) {
        for (_, member) in &mut self.members {
            if std::mem::take(&mut member.asks_members) {
                member.watches = true;
                member.queue(Entry::Reply(frame.clone()), stats);
            }
        }
    }

    /// Takes a member out of the room and tells it so; gives as whom it was seen.
    pub(crate) fn end_member(
        &mut self,
        room: &Room,
        connection: ConnectionId,
        stats: &ShardStats,
    ) -> Option<Rc<Who>> {
        // The place of an earlier membership may still be there.
        let is_meant = |member: &Member| member.connection == connection && !member.ended;
        let (_, member) = self.members.iter_mut().find(|(_, member)| is_meant(member))?;
        member.ended = true;
        (member.watches, member.asks_members, member.held) = (false, false, None);
        match member.form {
            WireForm::WebSocketRaw => member.outbox.close(Close::UNSUBSCRIBED),
            WireForm::Poll => member.outbox.close(Close::NORMAL),
            WireForm::WebSocketJson => {
                member.queue(Entry::Reply(ws_frame::text(&reply::unsubscribed(room, None))), stats);
            }
            WireForm::Sse | WireForm::SseJson => {
                let event = sse::event(Some("unsubscribed"), None, &reply::about_room(room));
                member.queue(Entry::Reply(event), stats);
            }
        }
        member.who.take()
    }

    /// Tells every member that messages are missing; one that is still joining, when it has joined.
    pub(crate) fn reset(&mut self, room: &Room, stats: &ShardStats) {
        let top = self.top;
        for (_, member) in &mut self.members {
            // One that has come from a node further on knows the new epoch already.
            let knows = member.has.zip(top).is_some_and(|(has, top)| top.epoch < has.epoch);
            match &mut member.held {
                // What is held has a hole in it now.
                Some(held) => **held = Held { reset: true, ..Held::default() },
                None if knows => {}
                None => member.say_reset(room, stats),
            }
        }
    }
}

impl Member {
    /// Queues a message that has just come, unless the client has it already: one that came back may have been given
    /// by history what then arrives late, or what it had heard on a node that was ahead of this one.
    fn push_new(&mut self, push: &Push, shared: &mut Shared, turn: u32, stats: &ShardStats) {
        if let Some(position) = push.publication().position
            && let Some(has) = self.has
        {
            if position <= has {
                return;
            }
            self.has = None;
        }
        self.push(push, shared, self.lane.as_ref().map(|lane| (lane, turn)), stats);
    }

    /// Queues one message for the client, with its id where the client wants ids. It may be dropped if a lane is
    /// given.
    fn push(&self, push: &Push, shared: &mut Shared, lane: Option<(&Rc<Lane>, u32)>, stats: &ShardStats) {
        if self.outbox.is_closing() || self.ended {
            return;
        }
        let message = shared.handle(push, self);
        if self.form == WireForm::Poll {
            // It is answered with what it has; the rest is for the next one.
            if self.outbox.push(Entry::Message(message)).is_err() {
                return self.outbox.close(Close::NORMAL);
            }
            // A poll's cursor speaks of what is in the answer, and of nothing else.
            self.advance(push);
            return;
        }
        let field = self.advance(push).and_then(StreamCursor::field);
        if let Some((lane, turn)) = lane {
            if self.outbox.push_droppable(lane, field, message, turn).is_err() {
                overflow(&self.outbox, stats);
            }
            return;
        }
        if let Some(field) = field {
            self.queue(Entry::Reply(field), stats);
        }
        self.queue(Entry::Message(message), stats);
    }

    /// Moves the cursor behind a message that has a position; gives the cursor if it has moved.
    fn advance(&self, push: &Push) -> Option<&StreamCursor> {
        let cursor = self.cursor.as_deref()?;
        let publication = push.publication();
        cursor.advance(&publication.room, publication.position?);
        Some(cursor)
    }

    fn queue(&self, entry: Entry, stats: &ShardStats) {
        if self.outbox.push(entry).is_err() {
            overflow(&self.outbox, stats);
        }
    }

    /// Tells the client that messages of the room are missing.
    pub(crate) fn say_reset(&self, room: &Room, stats: &ShardStats) {
        if self.ended {
            return;
        }
        stats.resets.add(1);
        let bytes = match self.form {
            // Raw mode has no word for it.
            WireForm::WebSocketRaw => return,
            // The answer is what came before the gap; the next poll is told.
            WireForm::Poll => return self.outbox.close(Close::NORMAL),
            WireForm::WebSocketJson => ws_frame::text(&reply::reset(room)),
            WireForm::Sse | WireForm::SseJson => sse::event(Some("reset"), None, &reply::about_room(room)),
        };
        self.queue(Entry::Reply(bytes), stats);
    }

    /// Gives the client a message out of turn: one that it missed. There is place for it, so that it need not be
    /// dropped.
    pub(crate) fn deliver(&self, push: &Push, stats: &ShardStats) {
        self.push(push, &mut Shared::default(), None, stats);
    }

    /// Whether nothing is missing between `after` and what is held; `top` is the last message that the room has
    /// given to all.
    pub(crate) fn can_be_released(&self, after: Option<Position>, top: Option<Position>) -> bool {
        let Some(held) = &self.held else { return true };
        let Some(after) = after else { return true };
        if held.reset {
            return false;
        }
        match held.messages.iter().find_map(|push| push.publication().position) {
            Some(first) => first <= after || after.is_followed_by(first),
            // What was read may be older than the member's joining.
            None => !held.incomplete && top.is_none_or(|top| top <= after),
        }
    }

    /// History is going to be read: that tells more than what has happened before.
    pub(crate) fn reads_anew(&mut self) {
        if let Some(held) = &mut self.held {
            held.reset = false;
        }
    }

    /// Lets messages through, beginning with those that were held and come after `after`.
    pub(crate) fn release(&mut self, room: &Room, after: Option<Position>, turn: u32, stats: &ShardStats) {
        let Some(held) = self.held.take() else { return };
        self.has = after;
        if held.reset {
            self.say_reset(room, stats);
        }
        if let Some(lane) = self.lane.as_ref().filter(|_| held.dropped > 0) {
            self.outbox.count_dropped(lane, held.dropped);
        }
        for push in held.messages {
            self.push_new(&push, &mut Shared::default(), turn, stats);
        }
    }
}

impl Held {
    /// Keeps a message; an error if that is one too many, there is no history to read it from, and none may be
    /// dropped.
    fn keep(&mut self, push: &Arc<Push>, droppable: bool) -> Result<(), ()> {
        if self.messages.len() >= HELD_MESSAGES_MAX {
            let readable = push.publication().position.is_some();
            if !readable && !droppable {
                return Err(());
            }
            self.messages.pop_front();
            self.incomplete = true;
            self.dropped += u64::from(!readable);
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
