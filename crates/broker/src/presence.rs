//! Who is in which room: what nodes tell the broker, and what it tells them.
//!
//! A node states how many connections each member of a room has on it. The broker adds the nodes up; what
//! changes in the sum is told to every node that subscribes to the room, with a version by which a node finds out
//! that it has missed something. Then it asks for all members, and goes on from there.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use roomcast_protocol::{Member, MemberId, Room};

/// Most members of one room. Who comes when it is full is in the room, but is not listed.
pub const ROOM_MEMBERS_MAX: usize = 10_000;

/// How long a member's last connection is gone before the member has left: a page that is loaded again, or
/// a client that moves to another node, does not leave and join.
pub const LEAVE_GRACE: Duration = Duration::from_secs(2);

/// How long a node that says nothing keeps its members; after that they leave everywhere.
pub const LEASE: Duration = Duration::from_secs(9);

/// Connections of a member that came or went, on one core, since it last said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceDelta {
    /// In which room.
    pub room: Room,
    /// Who.
    pub member: MemberId,
    /// What the newest connection's token says about it, if any has come.
    pub info: Option<Arc<str>>,
    /// How many more connections, or less.
    pub connections: i32,
}

/// Members of a room that are not what they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresenceEvent {
    /// Which room.
    pub room: Room,
    /// One more than that of the event before; more than one more if something was missed.
    pub version: u64,
    /// How they are now, on all nodes together; without connections: they have left.
    pub changes: Vec<Member>,
}

/// Who is in a room, on all nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomMembers {
    /// The version of the last event that is part of it; 0 if nobody is there.
    pub version: u64,
    /// In no particular order.
    pub members: Vec<Member>,
}

/// What this node has to state: its own members, and which of them the others do not know yet.
#[derive(Debug, Default)]
pub struct LocalMembers {
    rooms: HashMap<Room, HashMap<MemberId, Local>>,
    untold: HashSet<(Room, MemberId)>,
    /// Members without connections, and when they have left; the oldest first. Bounded by what goes in
    /// [`LEAVE_GRACE`].
    leaving: VecDeque<(Instant, Room, MemberId)>,
}

#[derive(Debug, Default)]
struct Local {
    connections: u32,
    info: Option<Arc<str>>,
    /// The others may know it.
    is_stated: bool,
    /// When it will have left, if it does not come back before.
    leaves_at: Option<Instant>,
}

impl LocalMembers {
    /// Connections have come and gone.
    pub fn apply(&mut self, deltas: Vec<PresenceDelta>, now: Instant) {
        self.settle(now);
        for PresenceDelta { room, member, info, connections } in deltas {
            let local = self.rooms.entry(room.clone()).or_default().entry(member.clone()).or_default();
            local.connections = local.connections.saturating_add_signed(connections);
            if connections > 0 || info.is_some() {
                local.info = info;
            }
            local.leaves_at = (local.connections == 0).then_some(now + LEAVE_GRACE);
            match local.leaves_at {
                Some(when) => self.leaving.push_back((when, room, member)),
                None => drop(self.untold.insert((room, member))),
            }
        }
    }

    /// Members leave whose time has come. Who came and went while nobody could be told is forgotten.
    fn settle(&mut self, now: Instant) {
        while self.next_leave().is_some_and(|when| when <= now) {
            let Some((when, room, id)) = self.leaving.pop_front() else { return };
            let Some(members) = self.rooms.get_mut(&room) else { continue };
            // One that came back, or has gone once more since, does not leave now.
            let Some(local) = members.get(&id).filter(|local| local.leaves_at == Some(when)) else {
                continue;
            };
            if local.is_stated {
                self.untold.insert((room, id));
                continue;
            }
            members.remove(&id);
            if members.is_empty() {
                self.rooms.remove(&room);
            }
            self.untold.remove(&(room, id));
        }
    }

    /// When to look again for members who have left.
    pub fn next_leave(&self) -> Option<Instant> {
        self.leaving.front().map(|(when, ..)| *when)
    }

    /// What has to be told now, room by room.
    pub fn untold(&mut self, now: Instant) -> Vec<(Room, Vec<Member>)> {
        self.settle(now);
        let mut by_room: HashMap<Room, Vec<Member>> = HashMap::new();
        for (room, id) in self.untold.drain() {
            let members = self.rooms.get_mut(&room);
            let Some(local) = members.and_then(|members| members.get_mut(&id)) else { continue };
            // Who has just gone may come back.
            if local.leaves_at.is_some_and(|when| when > now) {
                continue;
            }
            local.is_stated = true;
            let member = Member { id, connections: local.connections, info: local.info.clone() };
            by_room.entry(room).or_default().push(member);
        }
        by_room.into_iter().collect()
    }

    /// The others know these members of a room now. Tells whether the room has none any more.
    pub fn told(&mut self, room: &Room, told: &[Member]) -> bool {
        let Some(members) = self.rooms.get_mut(room) else { return true };
        for member in told.iter().filter(|member| member.connections == 0) {
            if members.get(&member.id).is_some_and(|local| local.connections == 0) {
                members.remove(&member.id);
            }
        }
        if members.is_empty() {
            self.rooms.remove(room);
            return true;
        }
        false
    }

    /// The others could not be told.
    pub fn not_told(&mut self, room: &Room, members: Vec<Member>) {
        self.untold.extend(members.into_iter().map(|member| (room.clone(), member.id)));
    }

    /// The others have forgotten everything.
    pub fn tell_all(&mut self) {
        let all = self.rooms.iter().flat_map(|(room, members)| {
            let present = members.iter().filter(|(_, local)| local.connections > 0);
            present.map(|(id, _)| (room.clone(), id.clone()))
        });
        self.untold.extend(all);
    }

    /// Everybody leaves, now.
    pub fn leave_all(&mut self) {
        for (room, members) in &mut self.rooms {
            for (id, local) in members {
                (local.connections, local.leaves_at) = (0, None);
                self.untold.insert((room.clone(), id.clone()));
            }
        }
    }

    /// Where this node has members, or has had until a moment ago.
    pub fn rooms(&self) -> Vec<Room> {
        self.rooms.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        Room::parse("a").unwrap()
    }

    fn delta(name: &str, connections: i32) -> PresenceDelta {
        PresenceDelta { room: room(), member: MemberId::User(name.into()), info: None, connections }
    }

    /// What is told at `now`, as names and connections; all of it succeeds.
    fn told(locals: &mut LocalMembers, now: Instant) -> Vec<(String, u32)> {
        let mut all = Vec::new();
        for (room, members) in locals.untold(now) {
            locals.told(&room, &members);
            all.extend(members.into_iter().map(|member| (member.id.to_string(), member.connections)));
        }
        all.sort();
        all
    }

    fn rows(rows: &[(&str, u32)]) -> Vec<(String, u32)> {
        rows.iter().map(|(name, connections)| (format!("u{name}"), *connections)).collect()
    }

    #[test]
    fn counts_and_leaves_after_a_while() {
        let (mut locals, now) = (LocalMembers::default(), Instant::now());
        locals.apply(vec![delta("alice", 1), delta("bob", 1), delta("alice", 1)], now);
        assert_eq!(told(&mut locals, now), rows(&[("alice", 2), ("bob", 1)]));
        assert_eq!(told(&mut locals, now), []);
        locals.apply(vec![delta("alice", -1), delta("bob", -1)], now);
        assert_eq!(told(&mut locals, now), rows(&[("alice", 1)]));
        assert_eq!(locals.next_leave(), Some(now + LEAVE_GRACE));
        assert_eq!(told(&mut locals, now + LEAVE_GRACE), rows(&[("bob", 0)]));
        assert_eq!(locals.next_leave(), None);
        locals.apply(vec![delta("alice", -1)], now);
        assert_eq!(told(&mut locals, now + LEAVE_GRACE), rows(&[("alice", 0)]));
        assert!(locals.rooms.is_empty() && locals.untold.is_empty());
    }

    #[test]
    fn who_comes_back_in_time_has_not_left() {
        let (mut locals, now) = (LocalMembers::default(), Instant::now());
        locals.apply(vec![delta("alice", 1)], now);
        assert_eq!(told(&mut locals, now), rows(&[("alice", 1)]));
        locals.apply(vec![delta("alice", -1)], now);
        locals.apply(vec![delta("alice", 1)], now + LEAVE_GRACE / 2);
        assert_eq!(told(&mut locals, now + LEAVE_GRACE), rows(&[("alice", 1)]));
    }

    #[test]
    fn who_goes_once_more_leaves_that_much_later() {
        let (mut locals, now) = (LocalMembers::default(), Instant::now());
        locals.apply(vec![delta("alice", 1)], now);
        assert_eq!(told(&mut locals, now), rows(&[("alice", 1)]));
        let later = now + LEAVE_GRACE / 2;
        locals.apply(vec![delta("alice", -1)], now);
        locals.apply(vec![delta("alice", 1)], later);
        locals.apply(vec![delta("alice", -1)], later);
        assert_eq!(told(&mut locals, later), []);
        assert_eq!(told(&mut locals, now + LEAVE_GRACE), []);
        assert_eq!(told(&mut locals, later + LEAVE_GRACE), rows(&[("alice", 0)]));
    }

    #[test]
    fn who_comes_and_goes_while_nobody_can_be_told_takes_no_memory() {
        let (mut locals, now) = (LocalMembers::default(), Instant::now());
        locals.apply(vec![delta("alice", 1)], now);
        assert_eq!(told(&mut locals, now), rows(&[("alice", 1)]));
        for i in 0..1000 {
            let name = i.to_string();
            let now = now + LEAVE_GRACE * i;
            locals.apply(vec![delta(&name, 1), delta(&name, -1)], now);
            assert!(
                locals.untold.len() <= 2 && locals.leaving.len() <= 2 && locals.rooms[&room()].len() <= 3
            );
        }
        locals.apply(vec![delta("alice", -1)], now + LEAVE_GRACE * 1001);
        assert_eq!(told(&mut locals, now + LEAVE_GRACE * 1002), rows(&[("alice", 0)]));
        assert!(locals.rooms.is_empty());
    }

    #[test]
    fn the_newest_connection_tells_what_is_told() {
        let (mut locals, now) = (LocalMembers::default(), Instant::now());
        locals.apply(vec![delta("alice", 1)], now);
        let new = PresenceDelta { info: Some("{}".into()), ..delta("alice", 0) };
        locals.apply(vec![new], now);
        locals.apply(vec![delta("alice", 1), delta("alice", -1)], now);
        assert_eq!(locals.untold(now)[0].1[0].info, None);
    }

    #[test]
    fn what_could_not_be_told_is_told_again_as_it_is_then() {
        let (mut locals, now) = (LocalMembers::default(), Instant::now());
        locals.apply(vec![delta("alice", 1)], now);
        for (room, members) in locals.untold(now) {
            locals.not_told(&room, members);
        }
        locals.apply(vec![delta("alice", 1)], now);
        assert_eq!(told(&mut locals, now), rows(&[("alice", 2)]));
        locals.tell_all();
        assert_eq!(told(&mut locals, now), rows(&[("alice", 2)]));
        locals.leave_all();
        assert_eq!(told(&mut locals, now), rows(&[("alice", 0)]));
        assert!(locals.rooms.is_empty());
    }
}
