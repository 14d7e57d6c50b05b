//! A connection's hold on its place in a room.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use roomcast_protocol::{Position, Push, Room};

use super::Shard;
use crate::queues::RouterRequest;
use crate::room::Who;

/// One connection's place in one room; leaving is dropping it.
#[derive(Debug)]
pub struct Membership {
    pub(super) shard: Rc<Shard>,
    pub(super) room: Room,
    pub(super) key: usize,
}

impl Membership {
    /// The room.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Completes when the broker has confirmed the room: from then on nothing is missed.
    pub fn confirmation(&self) -> impl Future<Output = ()> + use<> {
        let (shard, room, key) = (Rc::clone(&self.shard), self.room.clone(), self.key);
        poll_fn(move |context| {
            let mut rooms = shard.rooms.borrow_mut();
            // A member that has left meanwhile waits for nothing.
            let Some(entry) = rooms.get_mut(&room) else { return Poll::Ready(()) };
            if entry.live {
                return Poll::Ready(());
            }
            let Some(member) = entry.members.get_mut(key) else { return Poll::Ready(()) };
            member.waiting = Some(context.waker().clone());
            Poll::Pending
        })
    }

    /// Whether it was ended by somebody else: nothing comes through it any more.
    pub fn has_ended(&self) -> bool {
        self.shard.rooms.borrow().get(&self.room).is_none_or(|entry| entry.members[self.key].ended)
    }

    /// The client is seen as somebody else from now on.
    pub fn show_as(&self, who: Option<Rc<Who>>) {
        let mut rooms = self.shard.rooms.borrow_mut();
        let Some(entry) = rooms.get_mut(&self.room) else { return };
        let member = &mut entry.members[self.key];
        if member.ended || member.who == who {
            return;
        }
        self.shard.count_presence(&self.room, who.as_ref(), 1);
        let before = std::mem::replace(&mut member.who, who);
        self.shard.count_presence(&self.room, before.as_ref(), -1);
    }

    /// Gives the client, as soon as it is known, the list of who is in the room, and then tells it who comes and
    /// goes.
    pub async fn watch(&self) {
        if let Some(entry) = self.shard.rooms.borrow_mut().get_mut(&self.room) {
            let member = &mut entry.members[self.key];
            if member.ended || std::mem::replace(&mut member.asks_members, true) {
                return;
            }
        }
        let request = RouterRequest::Watch { room: self.room.clone(), shard: self.shard.index };
        // A router that is gone means that the node ends.
        let _ = self.shard.requests.send(request).await;
    }

    /// The reverse of [`watch`](Self::watch).
    pub fn watch_no_more(&self) {
        if let Some(entry) = self.shard.rooms.borrow_mut().get_mut(&self.room) {
            let member = &mut entry.members[self.key];
            (member.watches, member.asks_members) = (false, false);
        }
    }

    /// Where a member begins that asks for nothing earlier: after the room's last message so far. None
    /// in a room without history.
    pub fn start(&self) -> Option<Position> {
        self.shard.rooms.borrow().get(&self.room).and_then(|entry| entry.top)
    }

    /// Gives the client a message that came before it was released.
    pub fn deliver(&self, push: &Arc<Push>) {
        if let Some(entry) = self.shard.rooms.borrow_mut().get_mut(&self.room) {
            entry.members[self.key].deliver(push, &self.shard.stats);
        }
    }

    /// Tells the client that messages of the room are missing.
    pub fn say_reset(&self) {
        if let Some(entry) = self.shard.rooms.borrow().get(&self.room) {
            entry.members[self.key].say_reset(&self.room, &self.shard.stats);
        }
    }

    /// To be called before history is read to find out where the member stands.
    pub fn reads_anew(&self) {
        if let Some(entry) = self.shard.rooms.borrow_mut().get_mut(&self.room) {
            entry.members[self.key].reads_anew();
        }
    }

    /// Whether [`release`](Self::release) at this position would leave no gap.
    pub fn can_be_released(&self, after: Option<Position>) -> bool {
        let rooms = self.shard.rooms.borrow();
        rooms.get(&self.room).is_none_or(|entry| entry.members[self.key].can_be_released(after, entry.top))
    }

    /// Lets the room's messages through to the outbox: first the held ones, but for those up to
    /// `after`, which the client has already.
    pub fn release(&self, after: Option<Position>) {
        if let Some(entry) = self.shard.rooms.borrow_mut().get_mut(&self.room) {
            let shard = &self.shard;
            entry.members[self.key].release(&self.room, after, shard.turn.get(), &shard.stats);
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shard.leave(&self.room, self.key);
    }
}
