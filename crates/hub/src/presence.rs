//! The router's part of presence: it follows the members of rooms that somebody here watches.
//!
//! What changes is gathered for [`TELL_EVERY`] and told in one push, so that a wave of members costs every
//! watcher a few messages and not one for each of them.

use std::collections::HashMap;
use std::time::Duration;

use roomcast_broker::{PresenceEvent, RoomMembers};
use roomcast_protocol::presence::listed;
use roomcast_protocol::wire::ws_frame;
use roomcast_protocol::{ConnectionId, Member, Room, reply};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::queues::ShardMessage;
use crate::reads::{Reads, Ticket};
use crate::roster::Roster;

/// How long changes are gathered.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// The answer to who has asked for the members; `None` if they cannot be read now.
pub(crate) type MembersReply = oneshot::Sender<Option<Vec<Member>>>;

/// Rooms that are watched here, and those that were just asked for.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    rooms: HashMap<Room, Watched>,
    /// When gathered changes are told.
    tell_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Watched {
    roster: Roster,
    reading: Option<Ticket>,
    /// Who wants to know as soon as it is known. Bounded by the members on the node.
    waiting: Vec<(usize, ConnectionId)>,
}

/// A message for the shard of this number.
pub(crate) type ToShard = (usize, ShardMessage);

impl Presence {
    /// A member on a shard wants to hear who is there, comes and goes. `live`: the broker has confirmed the room.
    pub(crate) fn watch(
        &mut self,
        room: &Room,
        (shard, connection): (usize, ConnectionId),
        shards: &[usize],
        live: bool,
        reads: &mut Reads,
    ) -> Vec<ToShard> {
        let watched = self.rooms.entry(room.clone()).or_default();
        if watched.roster.is_known() {
            // What is gathered comes first: it is in the list already.
            let mut messages = watched.tell(room, shards);
            messages.push((shard, watched.list(room, connection)));
            return messages;
        }
        watched.waiting.push((shard, connection));
        if live && watched.reading.is_none() {
            watched.read(room, reads);
        }
        Vec::new()
    }

    /// Who is in a room, if it is known here.
    pub(crate) fn members(&self, room: &Room) -> Option<Vec<Member>> {
        let watched = self.rooms.get(room).filter(|watched| watched.roster.is_known())?;
        Some(watched.roster.members())
    }

    /// The broker has confirmed the room, maybe after an outage.
    pub(crate) fn subscribed(&mut self, room: &Room, reads: &mut Reads) {
        if let Some(watched) = self.rooms.get_mut(room) {
            watched.read(room, reads);
        }
    }

    /// The room has no member here any more.
    pub(crate) fn forget(&mut self, room: &Room) {
        self.rooms.remove(room);
    }

    /// Members of a room have changed.
    pub(crate) fn event(&mut self, event: PresenceEvent, reads: &mut Reads) {
        let room = event.room.clone();
        let Some(watched) = self.rooms.get_mut(&room) else { return };
        if watched.roster.event(event) {
            watched.read(&room, reads);
        }
        self.gather(&room);
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
        let mut messages = watched.tell(room, shards);
        for (shard, connection) in std::mem::take(&mut watched.waiting) {
            messages.push((shard, watched.list(room, connection)));
        }
        messages
    }

    /// When [`tell`](Self::tell) is due.
    pub(crate) fn tell_at(&self) -> Option<Instant> {
        self.tell_at
    }

    /// Tells what was gathered. `shards` gives those with members of a room.
    pub(crate) fn tell(&mut self, shards: impl Fn(&Room) -> Vec<usize>) -> Vec<ToShard> {
        self.tell_at = None;
        let changed = self.rooms.iter_mut().filter(|(_, watched)| watched.roster.has_changed());
        changed.flat_map(|(room, watched)| watched.tell(room, &shards(room))).collect()
    }

    fn gather(&mut self, room: &Room) {
        if self.tell_at.is_none() && self.rooms.get(room).is_some_and(|watched| watched.roster.has_changed())
        {
            self.tell_at = Some(Instant::now() + TELL_EVERY);
        }
    }
}

impl Watched {
    fn read(&mut self, room: &Room, reads: &mut Reads) {
        self.roster.reading();
        self.reading = Some(reads.members(room.clone()));
    }

    fn list(&self, room: &Room, connection: ConnectionId) -> ShardMessage {
        let frame = ws_frame::text(&reply::members(room, &self.roster.members(), None));
        ShardMessage::Members { room: room.clone(), connection, frame }
    }

    fn tell(&mut self, room: &Room, shards: &[usize]) -> Vec<ToShard> {
        let (joined, left) = self.roster.take_changes();
        let frames = pushes(room, &joined, &left).map(|push| ws_frame::text(&push));
        let message = |frame| ShardMessage::Presence { room: room.clone(), frame };
        frames.flat_map(|frame| shards.iter().map(move |shard| (*shard, message(frame.clone())))).collect()
    }
}

/// One push, or as many as are needed for none to be larger than one answer.
fn pushes<'a>(
    room: &'a Room,
    mut joined: &'a [Member],
    mut left: &'a [Member],
) -> impl Iterator<Item = bytes::Bytes> + 'a {
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
