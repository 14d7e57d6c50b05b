//! Who is in a room: a member is a user, with all of his connections, or a connection without a user.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::ConnectionId;

/// Most members of one answer. A room may have more; the answer tells how many.
pub const MEMBERS_LISTED_MAX: usize = 1000;

/// Most bytes of members in one answer or push, in JSON, so that it never fills a client's outbox.
pub const MEMBERS_BYTES_MAX: usize = 64 * 1024;

/// What tells one member of a room from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemberId {
    /// A signed-in user.
    User(Arc<str>),
    /// A connection that nobody has signed in on.
    Connection(ConnectionId),
}

/// A member of a room, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub id: MemberId,
    /// How many connections it has there; 0 where it has left.
    pub connections: u32,
    /// What its token says about it: the text of a JSON value.
    pub info: Option<Arc<str>>,
}

/// A text that is not the id of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a member")]
pub struct NotAMemberId;

/// As it travels between nodes: `u` and the user's name, or `c` and the connection's id.
impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "u{name}"),
            Self::Connection(id) => write!(f, "c{id}"),
        }
    }
}

impl FromStr for MemberId {
    type Err = NotAMemberId;

    fn from_str(text: &str) -> Result<Self, NotAMemberId> {
        if let Some(name) = text.strip_prefix('u') {
            return Ok(Self::User(name.into()));
        }
        let id = text.strip_prefix('c').ok_or(NotAMemberId)?;
        id.parse().map(Self::Connection).map_err(|_| NotAMemberId)
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.id {
            MemberId::User(name) => map.serialize_entry("user", &**name)?,
            MemberId::Connection(id) => map.serialize_entry("connection", &id.to_string())?,
        }
        if self.connections > 0 {
            map.serialize_entry("connections", &self.connections)?;
        }
        // What is no JSON never comes from a token; it would be left out.
        let info = self.info.as_deref().and_then(|info| serde_json::from_str::<&RawValue>(info).ok());
        if let Some(info) = info {
            map.serialize_entry("info", info)?;
        }
        map.end()
    }
}

/// As many of these, from the first, as one answer takes.
pub fn listed(members: &[Member]) -> &[Member] {
    let mut bytes = 0;
    let fits = members.iter().take(MEMBERS_LISTED_MAX).take_while(|member| {
        bytes += cost(member);
        bytes <= MEMBERS_BYTES_MAX
    });
    &members[..fits.count()]
}

/// An upper bound of a member's JSON.
fn cost(member: &Member) -> usize {
    let name = match &member.id {
        MemberId::User(name) => name.bytes().map(escaped).sum(),
        MemberId::Connection(_) => 2 * ConnectionId::BYTES + 1,
    };
    name + member.info.as_ref().map_or(0, |info| info.len()) + 64
}

/// How many bytes this one becomes in a JSON text.
fn escaped(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NodeId;

    fn user(name: &str, connections: u32, info: Option<&str>) -> Member {
        Member { id: MemberId::User(name.into()), connections, info: info.map(Arc::from) }
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let connection = MemberId::Connection(ConnectionId { node: NodeId(1), serial: 31 });
        for (id, text) in [
            (MemberId::User("alice".into()), "ualice"),
            (MemberId::User("".into()), "u"),
            (connection, "c0000000000000001-1f"),
        ] {
            assert_eq!(id.to_string(), text);
            assert_eq!(text.parse(), Ok(id));
        }
        for wrong in ["", "x", "c", "cx-1", "alice"] {
            assert_eq!(wrong.parse::<MemberId>(), Err(NotAMemberId), "{wrong}");
        }
    }

    #[test]
    fn json() {
        let connection = MemberId::Connection(ConnectionId { node: NodeId(1), serial: 31 });
        let cases = [
            (user("al\"ice", 2, Some("{\"a\": 1}")), r#"{"user":"al\"ice","connections":2,"info":{"a": 1}}"#),
            (user("bob", 0, None), r#"{"user":"bob"}"#),
            (user("bob", 0, Some("no json")), r#"{"user":"bob"}"#),
            (
                Member { id: connection, connections: 1, info: None },
                r#"{"connection":"0000000000000001-1f","connections":1}"#,
            ),
        ];
        for (member, expected) in cases {
            assert_eq!(serde_json::to_string(&member).unwrap(), expected);
        }
    }

    #[test]
    fn lists_are_bounded() {
        let escapes = vec![user(&"\u{1}\"".repeat(100), 1, None); 1000];
        assert!(serde_json::to_vec(listed(&escapes)).unwrap().len() < MEMBERS_BYTES_MAX + 1024);
        let many = vec![user("a", 1, None); MEMBERS_LISTED_MAX + 1];
        assert!(listed(&many).len() <= MEMBERS_LISTED_MAX && listed(&many).len() > 900);
        let large = vec![user("a", 1, Some(&format!("\"{}\"", "x".repeat(4000)))); 100];
        let bytes: usize = listed(&large).iter().map(|m| serde_json::to_vec(m).unwrap().len()).sum();
        assert!(!listed(&large).is_empty() && bytes <= MEMBERS_BYTES_MAX, "{bytes}");
    }
}
