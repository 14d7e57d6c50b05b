//! What a client may do, as its token says: a list of patterns for each kind of thing.

use std::sync::Arc;

use roomcast_protocol::Room;
use serde::Deserialize;

use super::pattern::{PATTERNS_MAX, Pattern, PatternError};

/// What one client may do. What is not granted is refused.
///
/// Personal rooms (`@alice`) are out of reach for the patterns of everybody else: `*` does not open
/// `@bob` to alice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    user: Option<Arc<str>>,
    granted: Granted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Granted {
    /// No keys are configured.
    Everything,
    Listed(Lists),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lists {
    subscribe: Box<[Pattern]>,
    publish: Box<[Pattern]>,
    presence: Box<[Pattern]>,
    history: Box<[Pattern]>,
}

/// The claim `rooms`. Members that are not known here grant nothing.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RoomsClaim {
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    presence: Vec<String>,
    #[serde(default)]
    history: Vec<String>,
}

/// Why the claim `rooms` is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// A list has more than [`PATTERNS_MAX`] patterns.
    #[error("a list of the claim rooms may have {PATTERNS_MAX} patterns at most; use * to cover many rooms")]
    TooMany,
    /// One of the patterns is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl Grants {
    /// What everybody may do while no keys are configured.
    pub fn everything() -> Self {
        Self { user: None, granted: Granted::Everything }
    }

    /// What a client without a token may do once keys are configured.
    pub fn nothing() -> Self {
        Self { user: None, granted: Granted::Listed(Lists::default()) }
    }

    pub(crate) fn of_claim(user: Option<Arc<str>>, claim: &RoomsClaim) -> Result<Self, GrantError> {
        let lists = Lists {
            subscribe: patterns(&claim.subscribe)?,
            publish: patterns(&claim.publish)?,
            presence: patterns(&claim.presence)?,
            history: patterns(&claim.history)?,
        };
        Ok(Self { user, granted: Granted::Listed(lists) })
    }

    /// Whether the client may become a member of `room`, and be given what it has missed there. A
    /// user's own room always may be subscribed to.
    pub fn may_subscribe(&self, room: &Room) -> bool {
        self.owns(room) || (room.owner().is_none() && self.covers(|lists| &lists.subscribe, room))
    }

    /// Whether the client may publish to `room`.
    pub fn may_publish(&self, room: &Room) -> bool {
        // While everything is open anybody may write to a user, as anybody may write a letter.
        self.granted == Granted::Everything || self.may(|lists| &lists.publish, room)
    }

    /// Whether the client may see who is in `room`.
    pub fn may_see_presence(&self, room: &Room) -> bool {
        self.may(|lists| &lists.presence, room)
    }

    /// Whether the client may ask for old messages of `room`.
    pub fn may_read_history(&self, room: &Room) -> bool {
        self.may(|lists| &lists.history, room)
    }

    fn may(&self, list: impl Fn(&Lists) -> &[Pattern], room: &Room) -> bool {
        (room.owner().is_none() || self.owns(room)) && self.covers(list, room)
    }

    fn owns(&self, room: &Room) -> bool {
        room.owner().is_some_and(|owner| self.user.as_deref() == Some(owner))
    }

    fn covers(&self, list: impl Fn(&Lists) -> &[Pattern], room: &Room) -> bool {
        match &self.granted {
            Granted::Everything => true,
            Granted::Listed(lists) => {
                list(lists).iter().any(|pattern| pattern.covers(room.as_str(), self.user.as_deref()))
            }
        }
    }
}

fn patterns(texts: &[String]) -> Result<Box<[Pattern]>, GrantError> {
    if texts.len() > PATTERNS_MAX {
        return Err(GrantError::TooMany);
    }
    texts.iter().map(|text| Pattern::parse(text).map_err(GrantError::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(user: Option<&str>, claim: &str) -> Grants {
        Grants::of_claim(user.map(Into::into), &serde_json::from_str(claim).unwrap()).unwrap()
    }

    /// Subscribe, publish, presence, history.
    fn may(grants: &Grants, room: &str) -> [bool; 4] {
        let room = Room::parse(room).unwrap();
        [
            grants.may_subscribe(&room),
            grants.may_publish(&room),
            grants.may_see_presence(&room),
            grants.may_read_history(&room),
        ]
    }

    #[test]
    fn every_list_grants_its_own_kind_and_no_other() {
        const NONE: [bool; 4] = [false; 4];
        for (place, name) in ["subscribe", "publish", "presence", "history"].into_iter().enumerate() {
            let mut expected = NONE;
            expected[place] = true;
            let grants = grants(Some("alice"), &format!(r#"{{"{name}":["chat:*"]}}"#));
            assert_eq!(may(&grants, "chat:1"), expected, "{name}");
            assert_eq!(may(&grants, "other"), NONE, "{name}");
        }
        assert_eq!(may(&grants(Some("alice"), "{}"), "chat:1"), NONE);
        assert_eq!(may(&Grants::nothing(), "chat:1"), NONE);
        assert_eq!(may(&Grants::everything(), "chat:1"), [true; 4]);
    }

    #[test]
    fn personal_rooms_are_for_their_owner() {
        let all = r#"{"subscribe":["*"],"publish":["*"],"presence":["*"],"history":["*"]}"#;
        let alice = grants(Some("alice"), all);
        assert_eq!(may(&alice, "@alice"), [true; 4]);
        assert_eq!(may(&alice, "@bob"), [false; 4]);
        assert_eq!(may(&alice, "@alice:x"), [false; 4]);
        assert_eq!(may(&grants(None, all), "@alice"), [false; 4]);
        let named = r#"{"subscribe":["@bob"],"publish":["@bob"],"presence":["@*"],"history":["@bob"]}"#;
        assert_eq!(may(&grants(Some("alice"), named), "@bob"), [false; 4]);
        // Without any list a user may listen to its own room, and no more than that.
        assert_eq!(may(&grants(Some("alice"), "{}"), "@alice"), [true, false, false, false]);
        assert_eq!(may(&grants(Some("*"), "{}"), "@bob"), [false; 4]);
        assert_eq!(may(&Grants::everything(), "@bob"), [false, true, false, false]);
    }

    #[test]
    fn bounds() {
        let claim = |count| RoomsClaim { publish: vec!["a".to_owned(); count], ..RoomsClaim::default() };
        assert!(Grants::of_claim(None, &claim(PATTERNS_MAX)).is_ok());
        assert_eq!(Grants::of_claim(None, &claim(PATTERNS_MAX + 1)), Err(GrantError::TooMany));
    }
}
