//! Who is in one room, as a pure value: what was read, what came after it, and what is to be told.

use std::collections::HashMap;
use std::sync::Arc;

use roomcast_broker::{PresenceEvent, RoomMembers};
use roomcast_protocol::{Member, MemberId};

/// Events that are kept while the members are read; more mean that they have to be read again.
const EVENTS_KEPT_MAX: usize = 1024;

/// The members of a room, followed from event to event.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    members: HashMap<MemberId, Member>,
    state: State,
    /// Members that have changed since it was last told, and whether they were there then.
    changed: HashMap<MemberId, bool>,
    /// The members in order, since they were last asked for.
    sorted: Option<Arc<[Member]>>,
}

#[derive(Debug, Default)]
enum State {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// Members are being read; events that have come meanwhile, unless they were too many.
    Reading(Option<Vec<PresenceEvent>>),
    /// Everything up to the event of this version is known.
    Known(u64),
}

impl Roster {
    /// The members are going to be read, from now on.
    pub(crate) fn reading(&mut self) {
        self.state = State::Reading(Some(Vec::new()));
    }

    /// Whether everything is known.
    pub(crate) fn is_known(&self) -> bool {
        matches!(self.state, State::Known(_))
    }

    /// Takes an event. Tells whether the members have to be read because one before it was missed.
    pub(crate) fn event(&mut self, event: PresenceEvent) -> bool {
        match &mut self.state {
            State::Unknown => false,
            State::Reading(kept) => {
                match kept {
                    Some(events) if events.len() < EVENTS_KEPT_MAX => events.push(event),
                    _ => *kept = None,
                }
                false
            }
            State::Known(version) if event.version <= *version => false,
            State::Known(version) if event.version == *version + 1 => {
                *version = event.version;
                self.apply(event.changes);
                false
            }
            State::Known(_) => true,
        }
    }

    /// The members have been read. Tells whether that has to be done again.
    pub(crate) fn read(&mut self, read: RoomMembers) -> bool {
        let State::Reading(kept) = std::mem::take(&mut self.state) else { return false };
        self.sorted = None;
        let mut gone: HashMap<_, _> = std::mem::take(&mut self.members);
        for member in read.members {
            if gone.remove(&member.id).is_none() {
                self.changed.entry(member.id.clone()).or_insert(false);
            }
            self.members.insert(member.id.clone(), member);
        }
        for (id, _) in gone {
            self.changed.entry(id).or_insert(true);
        }
        self.state = State::Known(read.version);
        let Some(kept) = kept else { return true };
        kept.into_iter().any(|event| self.event(event))
    }

    fn apply(&mut self, changes: Vec<Member>) {
        self.sorted = None;
        for member in changes {
            let id = member.id.clone();
            let before = if member.connections > 0 {
                self.members.insert(id.clone(), member)
            } else {
                self.members.remove(&id)
            };
            self.changed.entry(id).or_insert(before.is_some());
        }
    }

    /// Everybody who is there, in an order that does not change from answer to answer.
    pub(crate) fn members(&mut self) -> Arc<[Member]> {
        let sorted = || sorted(self.members.values().cloned().collect());
        Arc::clone(self.sorted.get_or_insert_with(sorted))
    }

    /// Whether something is to be told.
    pub(crate) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Who has joined and who has left since the last time.
    pub(crate) fn take_changes(&mut self) -> (Vec<Member>, Vec<Member>) {
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for (id, was_there) in self.changed.drain() {
            match (was_there, self.members.get(&id)) {
                (false, Some(member)) => joined.push(member.clone()),
                (true, None) => left.push(Member { id, connections: 0, info: None }),
                _ => {}
            }
        }
        (joined, left)
    }
}

/// Members in the order in which they are listed.
pub(crate) fn sorted(mut members: Vec<Member>) -> Arc<[Member]> {
    members.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    members.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roomcast_protocol::Room;

    fn member(name: &str, connections: u32) -> Member {
        Member { id: MemberId::User(name.into()), connections, info: None }
    }

    fn event(version: u64, changes: &[(&str, u32)]) -> PresenceEvent {
        let changes = changes.iter().map(|(name, connections)| member(name, *connections)).collect();
        PresenceEvent { room: Room::parse("a").unwrap(), version, changes }
    }

    fn read(version: u64, members: &[(&str, u32)]) -> RoomMembers {
        RoomMembers { version, members: event(0, members).changes }
    }

    fn names(members: impl AsRef<[Member]>) -> Vec<String> {
        let mut names: Vec<_> = members.as_ref().iter().map(|member| member.id.to_string()).collect();
        names.sort();
        names
    }

    fn changes(roster: &mut Roster) -> (Vec<String>, Vec<String>) {
        let (joined, left) = roster.take_changes();
        (names(joined), names(left))
    }

    #[test]
    fn events_are_applied_once_and_in_order() {
        let mut roster = Roster::default();
        assert!(!roster.event(event(1, &[("early", 1)])), "nobody has asked yet");
        roster.reading();
        assert!(!roster.event(event(5, &[("alice", 1)])));
        assert!(!roster.event(event(6, &[("bob", 1)])));
        assert!(!roster.read(read(5, &[("alice", 1), ("carol", 1)])));
        assert_eq!(names(roster.members()), ["ualice", "ubob", "ucarol"]);
        assert_eq!(changes(&mut roster).0, ["ualice", "ubob", "ucarol"]);
        assert!(!roster.event(event(6, &[("bob", 0)])), "known already");
        assert!(!roster.event(event(7, &[("bob", 0), ("dave", 1)])));
        assert!(!roster.event(event(8, &[("dave", 0), ("alice", 2)])));
        assert_eq!(changes(&mut roster), (vec![], vec!["ubob".to_owned()]), "dave came and went");
        assert!(!roster.has_changed());
    }

    #[test]
    fn a_missed_event_is_made_good_by_reading() {
        let mut roster = Roster::default();
        roster.reading();
        assert!(!roster.read(read(5, &[("alice", 1), ("bob", 1)])));
        roster.take_changes();
        assert!(roster.event(event(7, &[("carol", 1)])));
        roster.reading();
        assert!(!roster.read(read(7, &[("alice", 1), ("carol", 1)])));
        assert_eq!(changes(&mut roster), (vec!["ucarol".to_owned()], vec!["ubob".to_owned()]));
        // One missed between what was read and what has come meanwhile.
        roster.reading();
        assert!(!roster.event(event(10, &[("dave", 1)])));
        assert!(roster.read(read(8, &[("alice", 1)])));
    }

    #[test]
    fn too_many_events_while_reading_are_read_again() {
        let mut roster = Roster::default();
        roster.reading();
        for version in 0..=EVENTS_KEPT_MAX as u64 {
            roster.event(event(version, &[]));
        }
        assert!(roster.read(read(0, &[])));
    }

    proptest! {
        /// Whatever is lost on the way, and whenever it is read, what was told adds up to who is there.
        #[test]
        fn what_is_told_adds_up(
            steps in proptest::collection::vec((0..4usize, 0..3u32, any::<bool>(), any::<bool>()), 1..60)
        ) {
            let names = ["a", "b", "c", "d"];
            let mut truth: HashMap<MemberId, Member> = HashMap::new();
            let mut told: std::collections::BTreeSet<String> = Default::default();
            let mut roster = Roster::default();
            let mut version = 1;
            roster.reading();
            roster.read(read(version, &[]));
            let mut must_read = false;
            for (who, connections, arrives, look) in steps {
                version += 1;
                let now = member(names[who], connections);
                if connections > 0 {
                    truth.insert(now.id.clone(), now);
                } else {
                    truth.remove(&now.id);
                }
                if arrives {
                    must_read |= roster.event(event(version, &[(names[who], connections)]));
                }
                if must_read {
                    roster.reading();
                    let members = truth.values().cloned().collect();
                    must_read = roster.read(RoomMembers { version, members });
                }
                if look {
                    let (joined, left) = roster.take_changes();
                    for member in joined {
                        prop_assert!(told.insert(member.id.to_string()), "joined twice");
                    }
                    for member in left {
                        prop_assert!(told.remove(&member.id.to_string()), "left twice");
                    }
                }
            }
            roster.reading();
            roster.read(RoomMembers { version, members: truth.values().cloned().collect() });
            let (joined, left) = roster.take_changes();
            told.extend(joined.iter().map(|member| member.id.to_string()));
            told.retain(|name| !left.iter().any(|member| member.id.to_string() == *name));
            let expected: std::collections::BTreeSet<_> = truth.keys().map(ToString::to_string).collect();
            prop_assert_eq!(told, expected);
        }
    }
}
