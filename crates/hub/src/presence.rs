//! The router's part of presence: it follows the members of rooms that somebody here watches.
//!
//! What changes is gathered for [`TELL_EVERY`] and told in one push, so that a wave of members costs every
//! watcher a few messages and not one for each of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roomcast_broker::{PresenceEvent, RoomMembers};
use roomcast_protocol::presence::listed;
use roomcast_protocol::wire::ws_frame;
use roomcast_protocol::{Member, Room, reply};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::queues::ShardMessage;
use crate::reads::{Reads, Ticket};
use crate::roster::Roster;

/// How long changes are gathered.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// The answer to who has asked for the members, in order; `None` if they cannot be read now.
pub(crate) type MembersReply = oneshot::Sender<Option<Arc<[Member]>>>;

/// Rooms that are watched here.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    rooms: HashMap<Room, Watched>,
    /// Those of which something is gathered.
    changed: HashSet<Room>,
    /// When it is told.
    tell_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Watched {
    roster: Roster,
    reading: Option<Ticket>,
    /// Shards with members that want the list as soon as it is known.
    waiting: BTreeSet<usize>,
    /// The list as it was last given, and of whom it was made: the same for all who ask in between.
    list: Option<(Arc<[Member]>, Bytes)>,
}

/// A message for the shard of this number.
pub(crate) type ToShard = (usize, ShardMessage);

impl Presence {
    /// Members on a shard want to hear who is there, comes and goes.
    pub(crate) fn watch(&mut self, room: &Room, shard: usize, reads: &mut Reads) -> Vec<ToShard> {
        let watched = self.rooms.entry(room.clone()).or_default();
        watched.waiting.insert(shard);
        if !watched.roster.is_known() {
            if watched.reading.is_none() {
                watched.read(room, reads);
            }
            return Vec::new();
        }
        // What is gathered is told first, when its time comes: the list has it already.
        if watched.roster.has_changed() { Vec::new() } else { watched.answer(room) }
    }

    /// Who is in a room, if it is known here.
    pub(crate) fn members(&mut self, room: &Room) -> Option<Arc<[Member]>> {
        let watched = self.rooms.get_mut(room).filter(|watched| watched.roster.is_known())?;
        Some(watched.roster.members())
    }

    /// The broker has confirmed the room, maybe after an outage: events may have been missed.
    pub(crate) fn subscribed(&mut self, room: &Room, reads: &mut Reads) {
        if let Some(watched) = self.rooms.get_mut(room) {
            watched.read(room, reads);
        }
    }

    /// The room has no member here any more.
    pub(crate) fn forget(&mut self, room: &Room) {
        self.rooms.remove(room);
        self.changed.remove(room);
    }

    /// Members of a room have changed.
    pub(crate) fn event(&mut self, event: PresenceEvent, reads: &mut Reads) {
        let room = event.room.clone();
        let Some(watched) = self.rooms.get_mut(&room) else { return };
        if watched.roster.event(event) {
            watched.read(&room, reads);
        }
        if watched.roster.has_changed() && self.changed.insert(room) && self.tell_at.is_none() {
            self.tell_at = Some(Instant::now() + TELL_EVERY);
        }
    }

    /// The members of a room have been read.
    pub(crate) fn read(
        &mut self,
        room: &Room,
        ticket: u64,
        members: RoomMembers,
        shards: &[usize],
        reads: &mut Reads,
    ) -> Vec<ToShard> {
        let Some(watched) = self.rooms.get_mut(room) else { return Vec::new() };
        if watched.reading.as_ref().is_none_or(|reading| reading.number != ticket) {
            return Vec::new();
        }
        watched.reading = None;
        if watched.roster.read(members) {
            watched.read(room, reads);
            return Vec::new();
        }
        watched.tell(room, shards)
    }

    /// When [`tell`](Self::tell) is due.
    pub(crate) fn tell_at(&self) -> Option<Instant> {
        self.tell_at
    }

    /// Tells what was gathered. `shards` gives those with members of a room.
    pub(crate) fn tell(&mut self, shards: impl Fn(&Room) -> Vec<usize>) -> Vec<ToShard> {
        self.tell_at = None;
        let mut messages = Vec::new();
        for room in std::mem::take(&mut self.changed) {
            if let Some(watched) = self.rooms.get_mut(&room) {
                messages.append(&mut watched.tell(&room, &shards(&room)));
            }
        }
        messages
    }
}

impl Watched {
    fn read(&mut self, room: &Room, reads: &mut Reads) {
        self.roster.reading();
        self.reading = Some(reads.members(room.clone()));
    }

    /// Tells what was gathered, and then gives the list to those who wait for it.
    fn tell(&mut self, room: &Room, shards: &[usize]) -> Vec<ToShard> {
        let (joined, left) = self.roster.take_changes();
        let mut messages = Vec::new();
        // Before the first list nobody has heard of anybody.
        if self.list.is_some() {
            for frame in pushes(room, &joined, &left).map(|push| ws_frame::text(&push)) {
                let message = |frame| ShardMessage::Presence { room: room.clone(), frame };
                messages.extend(shards.iter().map(|shard| (*shard, message(frame.clone()))));
            }
        }
        if self.roster.is_known() {
            messages.append(&mut self.answer(room));
        }
        messages
    }

    fn answer(&mut self, room: &Room) -> Vec<ToShard> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let members = self.roster.members();
        let is_same = |(of, _): &(Arc<[Member]>, Bytes)| Arc::ptr_eq(of, &members);
        let frame = match self.list.take().filter(is_same) {
            Some((_, frame)) => frame,
            None => ws_frame::text(&reply::members(room, &members, None)),
        };
        self.list = Some((members, frame.clone()));
        let message = |frame| ShardMessage::Members { room: room.clone(), frame };
        std::mem::take(&mut self.waiting).into_iter().map(|shard| (shard, message(frame.clone()))).collect()
    }
}

/// One push, or as many as are needed for none to be larger than one answer.
fn pushes<'a>(
    room: &'a Room,
    mut joined: &'a [Member],
    mut left: &'a [Member],
) -> impl Iterator<Item = Bytes> + 'a {
    std::iter::from_fn(move || {
        if joined.is_empty() && left.is_empty() {
            return None;
        }
        let (some_joined, some_left);
        (some_joined, joined) = joined.split_at(some(joined));
        // Those who left are told when all who joined are.
        (some_left, left) = left.split_at(if joined.is_empty() { some(left) } else { 0 });
        Some(reply::presence(room, some_joined, some_left))
    })
}

/// How many go into one push: as many as fit, and at least one.
fn some(members: &[Member]) -> usize {
    listed(members).len().max(1).min(members.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use roomcast_protocol::MemberId;
    use roomcast_protocol::presence::MEMBERS_BYTES_MAX;

    #[test]
    fn a_wave_is_told_in_pushes_of_bounded_size() {
        let room = Room::parse("a").unwrap();
        let many: Vec<_> = (0..2500)
            .map(|i| Member {
                id: MemberId::User(format!("user-{i}").into()),
                connections: 1,
                info: Some("{}".into()),
            })
            .collect();
        let pushes: Vec<_> = pushes(&room, &many, &many[..10]).collect();
        let texts: Vec<serde_json::Value> =
            pushes.iter().map(|push| serde_json::from_slice(push).unwrap()).collect();
        let count =
            |field: &str| -> usize { texts.iter().map(|text| text[field].as_array().unwrap().len()).sum() };
        assert_eq!((count("joined"), count("left")), (2500, 10));
        assert!(pushes.len() < 8 && pushes.iter().all(|push| push.len() < MEMBERS_BYTES_MAX + 1024));
        assert_eq!(texts.last().unwrap()["left"].as_array().unwrap().len(), 10);
    }
}
