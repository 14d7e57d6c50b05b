//! The state of every subscription on the link, as a pure value: what is wanted, what has been
//! asked of Redis, and what Redis has confirmed.

use std::collections::HashMap;

use roomcast_protocol::Room;

/// Replies that Redis owes for one (un)subscription: one per channel of a room.
const REPLIES_PER_COMMAND: u32 = 2;

#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    rooms: HashMap<Room, State>,
}

#[derive(Debug, Default)]
struct State {
    wanted: bool,
    /// The last command sent on this connection was SUBSCRIBE.
    asked: bool,
    /// Replies under way. Redis answers in order, so the last command has taken effect when all
    /// replies are in, and not before.
    replies_owed: u32,
}

/// What must be sent because of a change of wishes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) subscribe: Vec<Room>,
    pub(crate) unsubscribe: Vec<Room>,
    /// Wanted again while they still stood: confirmed already.
    pub(crate) confirmed: Vec<Room>,
}

impl Subscriptions {
    /// Takes in new wishes; on a standing connection the changes must then be sent.
    pub(crate) fn apply(&mut self, wishes: HashMap<Room, bool>, connected: bool) -> Changes {
        let mut changes = Changes::default();
        for (room, wanted) in wishes {
            let state = self.rooms.entry(room.clone()).or_default();
            state.wanted = wanted;
            if !connected {
                if !wanted {
                    self.rooms.remove(&room);
                }
            } else if wanted != state.asked {
                state.asked = wanted;
                state.replies_owed += REPLIES_PER_COMMAND;
                if wanted { &mut changes.subscribe } else { &mut changes.unsubscribe }.push(room);
            } else if state.replies_owed == 0 {
                if wanted {
                    changes.confirmed.push(room);
                } else {
                    self.rooms.remove(&room);
                }
            }
        }
        changes
    }

    /// A new connection stands: nothing is owed, and every wanted room must be asked for.
    pub(crate) fn connected(&mut self) -> Vec<Room> {
        self.rooms.retain(|_, state| state.wanted);
        for state in self.rooms.values_mut() {
            state.asked = true;
            state.replies_owed = REPLIES_PER_COMMAND;
        }
        self.rooms.keys().cloned().collect()
    }

    /// One reply has come in; gives the room if it is now subscribed.
    pub(crate) fn reply(&mut self, room: &str) -> Option<Room> {
        let (name, state) = self.rooms.get_key_value(room)?;
        let name = name.clone();
        let settled = state.replies_owed <= 1;
        let wanted = state.wanted;
        if settled && !wanted {
            self.rooms.remove(&name);
            return None;
        }
        let state = self.rooms.get_mut(&name)?;
        let before = state.replies_owed;
        state.replies_owed = before.saturating_sub(1);
        (before == 1).then_some(name)
    }

    /// The room of this name, if it is wanted.
    pub(crate) fn wanted(&self, room: &str) -> Option<Room> {
        self.rooms.get_key_value(room).filter(|(_, state)| state.wanted).map(|(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> Room {
        Room::parse("a").unwrap()
    }

    fn wish(wanted: bool) -> HashMap<Room, bool> {
        HashMap::from([(room(), wanted)])
    }

    #[test]
    fn a_room_is_confirmed_by_its_last_reply() {
        let mut s = Subscriptions::default();
        assert_eq!(s.apply(wish(true), true).subscribe, [room()]);
        assert_eq!(s.reply("a"), None);
        assert_eq!(s.reply("a"), Some(room()));
        assert_eq!(s.apply(wish(true), true).confirmed, [room()]);
    }

    #[test]
    fn a_wish_taken_back_is_not_confirmed_by_old_replies() {
        let mut s = Subscriptions::default();
        s.apply(wish(true), true);
        assert_eq!(s.apply(wish(false), true).unsubscribe, [room()]);
        assert_eq!(s.apply(wish(true), true).subscribe, [room()]);
        for _ in 0..5 {
            assert_eq!(s.reply("a"), None);
        }
        assert_eq!(s.reply("a"), Some(room()));
    }

    #[test]
    fn rooms_that_nobody_wants_leave_nothing_behind() {
        let mut s = Subscriptions::default();
        s.apply(wish(true), true);
        s.apply(wish(false), true);
        for _ in 0..4 {
            assert_eq!(s.reply("a"), None);
        }
        assert!(s.rooms.is_empty());
        s.apply(wish(true), false);
        s.apply(wish(false), false);
        assert!(s.rooms.is_empty());
    }

    #[test]
    fn wishes_outlive_the_connection() {
        let mut s = Subscriptions::default();
        s.apply(wish(true), true);
        s.reply("a");
        assert_eq!(s.connected(), [room()]);
        assert_eq!(s.reply("a"), None);
        assert_eq!(s.reply("a"), Some(room()));
        s.apply(wish(false), false);
        assert_eq!(s.connected(), []);
    }

    #[test]
    fn only_wanted_rooms_get_messages() {
        let mut s = Subscriptions::default();
        s.apply(wish(true), true);
        assert_eq!(s.wanted("a"), Some(room()));
        s.apply(wish(false), true);
        assert_eq!(s.wanted("a"), None);
    }
}
