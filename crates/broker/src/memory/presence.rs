//! Who is in which room of the only node there is.

use std::collections::HashMap;
use std::time::Instant;

use roomcast_protocol::{Member, MemberId, Room};

use crate::presence::ROOM_MEMBERS_MAX;
use crate::{LocalMembers, PresenceEvent, RoomMembers};

#[derive(Debug, Default)]
pub(super) struct Presence {
    pub(super) locals: LocalMembers,
    rooms: HashMap<Room, Present>,
    /// Of the room that became empty last, so that no version comes twice.
    last_version: u64,
}

#[derive(Debug)]
struct Present {
    version: u64,
    members: HashMap<MemberId, Member>,
}

impl Presence {
    /// Carries out what is due, and gives what is to be told of it.
    pub(super) fn turn(&mut self, now: Instant) -> Vec<PresenceEvent> {
        let mut events = Vec::new();
        for (room, members) in self.locals.untold(now) {
            self.locals.told(&room, &members);
            let version = self.last_version;
            let present = self
                .rooms
                .entry(room.clone())
                .or_insert_with(|| Present { version, members: HashMap::new() });
            let changes: Vec<_> =
                members.into_iter().filter(|member| present.change(member.clone())).collect();
            if !changes.is_empty() {
                present.version += 1;
                events.push(PresenceEvent { room: room.clone(), version: present.version, changes });
            }
            if present.members.is_empty() {
                self.last_version = self.last_version.max(present.version);
                self.rooms.remove(&room);
            }
        }
        events
    }

    pub(super) fn members(&self, room: &Room) -> RoomMembers {
        let Some(present) = self.rooms.get(room) else { return RoomMembers::default() };
        RoomMembers { version: present.version, members: present.members.values().cloned().collect() }
    }
}

impl Present {
    /// Tells whether anything has changed.
    fn change(&mut self, member: Member) -> bool {
        if member.connections == 0 {
            return self.members.remove(&member.id).is_some();
        }
        if self.members.len() >= ROOM_MEMBERS_MAX && !self.members.contains_key(&member.id) {
            return false;
        }
        self.members.insert(member.id.clone(), member.clone()) != Some(member)
    }
}
