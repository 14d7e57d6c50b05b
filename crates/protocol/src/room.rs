//! Room names: what messages are published to and clients subscribe to.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::limits::ROOM_BYTES_MAX;

/// A valid room name. Cheap to clone; compares and hashes as its text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Room(Arc<str>);

/// Why a text is not a room name. The message tells the sender what a name may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// The name has no bytes.
    #[error("a room name must not be empty")]
    Empty,
    /// The name has more than [`ROOM_BYTES_MAX`] bytes.
    #[error("a room name may have {ROOM_BYTES_MAX} bytes at most, this one has {0}")]
    TooLong(usize),
    /// The name has a character outside the allowed set.
    #[error("a room name may only have A-Z a-z 0-9 . _ - : @ ~, not {0:?}")]
    Character(char),
}

impl Room {
    /// Checks a name: 1 to 200 bytes of `A–Z a–z 0–9 . _ - : @ ~`.
    pub fn parse(name: &str) -> Result<Self, RoomError> {
        if name.is_empty() {
            return Err(RoomError::Empty);
        }
        if name.len() > ROOM_BYTES_MAX {
            return Err(RoomError::TooLong(name.len()));
        }
        match name.chars().find(|c| !is_allowed(*c)) {
            Some(c) => Err(RoomError::Character(c)),
            None => Ok(Self(name.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `:`, or `None` for a room of the default namespace.
    pub fn namespace(&self) -> Option<&str> {
        self.0.split_once(':').map(|(namespace, _)| namespace)
    }

    /// The user whose personal room this is: `@alice` belongs to `alice`.
    pub fn owner(&self) -> Option<&str> {
        self.0.strip_prefix('@')
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '@' | '~')
}

impl Borrow<str> for Room {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Room({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let longest = "r".repeat(ROOM_BYTES_MAX);
        let too_long = "r".repeat(ROOM_BYTES_MAX + 1);
        let cases: &[(&str, Result<(), RoomError>)] = &[
            ("a", Ok(())),
            ("chat:42", Ok(())),
            ("@alice", Ok(())),
            ("A-Z_a.z~0:9@", Ok(())),
            (&longest, Ok(())),
            ("", Err(RoomError::Empty)),
            (&too_long, Err(RoomError::TooLong(201))),
            ("a b", Err(RoomError::Character(' '))),
            ("a/b", Err(RoomError::Character('/'))),
            ("a{b}", Err(RoomError::Character('{'))),
            ("café", Err(RoomError::Character('é'))),
            ("a\n", Err(RoomError::Character('\n'))),
            ("a\0", Err(RoomError::Character('\0'))),
        ];
        for (name, expected) in cases {
            assert_eq!(&Room::parse(name).map(|_| ()), expected, "{name:?}");
        }
    }

    #[test]
    fn parts() {
        let cases = [
            ("chat:42", Some("chat"), None),
            ("chat:42:x", Some("chat"), None),
            ("lobby", None, None),
            (":x", Some(""), None),
            ("@alice", None, Some("alice")),
        ];
        for (name, namespace, owner) in cases {
            let room = Room::parse(name).unwrap();
            assert_eq!((room.namespace(), room.owner()), (namespace, owner), "{name}");
        }
    }
}
