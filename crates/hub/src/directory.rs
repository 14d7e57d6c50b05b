//! Which shards have members of which room, as a pure value.

use std::collections::HashMap;

use roomcast_protocol::Room;

use crate::queues::Interest;
use crate::reads::Ticket;
use crate::tracker::Tracker;

#[derive(Debug, Default)]
pub(crate) struct Directory {
    rooms: HashMap<Room, Entry>,
}

/// One room of the node.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The shards with members, and the number of each one's stay. Few: one per core at most.
    pub(crate) shards: Vec<(usize, u32)>,
    /// The broker has confirmed it, and its history, if it keeps one, is read up to now.
    pub(crate) confirmed: bool,
    /// Of rooms that keep history.
    pub(crate) tracker: Option<Tracker>,
    /// The read that the tracker waits for.
    pub(crate) reading: Option<Ticket>,
}

/// What has to be done because of a change.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// Nothing, for now.
    None,
    /// The first member on the node: subscribe.
    Subscribe,
    /// The last member on the node is gone: unsubscribe.
    Unsubscribe,
    /// The room is subscribed already: tell the shard.
    Confirm,
}

impl Directory {
    pub(crate) fn change(&mut self, room: &Room, shard: usize, interest: Interest) -> Consequence {
        match interest {
            Interest::Wanted { stay } => self.join(room, shard, stay),
            Interest::Unwanted => self.leave(room, shard),
        }
    }

    fn join(&mut self, room: &Room, shard: usize, stay: u32) -> Consequence {
        let is_new = !self.rooms.contains_key(room);
        let entry = self.rooms.entry(room.clone()).or_default();
        entry.shards.retain(|(s, _)| *s != shard);
        entry.shards.push((shard, stay));
        match (is_new, entry.confirmed) {
            (true, _) => Consequence::Subscribe,
            (false, true) => Consequence::Confirm,
            (false, false) => Consequence::None,
        }
    }

    fn leave(&mut self, room: &Room, shard: usize) -> Consequence {
        let Some(entry) = self.rooms.get_mut(room) else { return Consequence::None };
        entry.shards.retain(|(s, _)| *s != shard);
        if !entry.shards.is_empty() {
            return Consequence::None;
        }
        self.rooms.remove(room);
        Consequence::Unsubscribe
    }

    /// The broker's connection is lost, and every confirmation with it.
    pub(crate) fn down(&mut self) {
        for entry in self.rooms.values_mut() {
            entry.confirmed = false;
        }
    }

    pub(crate) fn get(&self, room: &str) -> Option<&Entry> {
        self.rooms.get(room)
    }

    pub(crate) fn get_mut(&mut self, room: &str) -> Option<&mut Entry> {
        self.rooms.get_mut(room)
    }

    /// The shards with members of a room.
    pub(crate) fn shards(&self, room: &Room) -> Vec<usize> {
        let shards = self.rooms.get(room).map(|entry| entry.shards.iter().map(|(shard, _)| *shard).collect());
        shards.unwrap_or_default()
    }

    pub(crate) fn rooms(&self) -> Vec<Room> {
        self.rooms.keys().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribe_once_confirm_all_unsubscribe_last() {
        let room = Room::parse("a").unwrap();
        let mut directory = Directory::default();
        let wanted = |stay| Interest::Wanted { stay };
        assert_eq!(directory.change(&room, 0, wanted(1)), Consequence::Subscribe);
        assert_eq!(directory.change(&room, 1, wanted(7)), Consequence::None);
        let entry = directory.get_mut("a").unwrap();
        assert_eq!(entry.shards, [(0, 1), (1, 7)]);
        entry.confirmed = true;
        assert_eq!(directory.change(&room, 0, wanted(2)), Consequence::Confirm);
        assert_eq!(directory.get("a").unwrap().shards, [(1, 7), (0, 2)]);
        directory.down();
        assert_eq!(directory.change(&room, 2, wanted(0)), Consequence::None);
        for shard in [0, 2] {
            assert_eq!(directory.change(&room, shard, Interest::Unwanted), Consequence::None);
        }
        assert_eq!(directory.change(&room, 1, Interest::Unwanted), Consequence::Unsubscribe);
        assert_eq!(directory.change(&room, 1, Interest::Unwanted), Consequence::None);
        assert!(directory.len() == 0 && directory.get("a").is_none());
    }
}
