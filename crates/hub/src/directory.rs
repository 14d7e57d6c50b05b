//! Which shards have members of which room, as a pure value.

use std::collections::HashMap;

use roomcast_protocol::Room;

use crate::router::Interest;

#[derive(Debug, Default)]
pub(crate) struct Directory {
    rooms: HashMap<Room, Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// The shards with members, and the number of each one's stay. Few: one per core at most.
    shards: Vec<(usize, u32)>,
    confirmed: bool,
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

    /// The broker has confirmed a room; gives the shards that wait for it, with their stays.
    pub(crate) fn confirmed(&mut self, room: &str) -> &[(usize, u32)] {
        let Some(entry) = self.rooms.get_mut(room) else { return &[] };
        entry.confirmed = true;
        &entry.shards
    }

    /// The broker's connection is lost, and every confirmation with it.
    pub(crate) fn down(&mut self) {
        for entry in self.rooms.values_mut() {
            entry.confirmed = false;
        }
    }

    /// The shards that have members of a room.
    pub(crate) fn shards(&self, room: &str) -> &[(usize, u32)] {
        self.rooms.get(room).map_or(&[], |entry| &entry.shards)
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
        assert_eq!(directory.confirmed("a"), [(0, 1), (1, 7)]);
        assert_eq!(directory.change(&room, 0, wanted(2)), Consequence::Confirm);
        assert_eq!(directory.shards("a"), [(1, 7), (0, 2)]);
        directory.down();
        assert_eq!(directory.change(&room, 2, wanted(0)), Consequence::None);
        for shard in [0, 2] {
            assert_eq!(directory.change(&room, shard, Interest::Unwanted), Consequence::None);
        }
        assert_eq!(directory.change(&room, 1, Interest::Unwanted), Consequence::Unsubscribe);
        assert_eq!(directory.change(&room, 1, Interest::Unwanted), Consequence::None);
        assert_eq!((directory.len(), directory.confirmed("a").len()), (0, 0));
    }
}
