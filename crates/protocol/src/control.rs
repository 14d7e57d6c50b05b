//! What a backend or an operator tells all nodes about a user.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Room;

/// Longest such message, in bytes of JSON.
pub const CONTROL_BYTES_MAX: usize = 4096;

/// A wish about one user's connections, wherever they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// End them all, with 4410.
    Disconnect {
        /// Whose.
        user: Arc<str>,
    },
    /// Take them out of a room.
    Unsubscribe {
        /// Whose.
        user: Arc<str>,
        /// Which room.
        room: Room,
    },
}

/// Bytes that are no such wish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a control message: {0}; write {{\"disconnect\":{{\"user\":…}}}} or {{\"unsubscribe\":{{\"user\":…,\"room\":…}}}}"
)]
pub struct NotControl(String);

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Written<'a> {
    Disconnect { user: &'a str },
    Unsubscribe { user: &'a str, room: &'a str },
}

/// The object is looked at before it is read: Serde would take a list for its members in order.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Told<'a> {
    #[serde(borrow)]
    Disconnect(&'a RawValue),
    #[serde(borrow)]
    Unsubscribe(&'a RawValue),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserInRoom {
    user: String,
    room: String,
}

impl Control {
    /// Reads `{"disconnect":{"user":…}}` or `{"unsubscribe":{"user":…,"room":…}}`.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotControl> {
        if bytes.len() > CONTROL_BYTES_MAX {
            return Err(NotControl(format!("more than {CONTROL_BYTES_MAX} bytes")));
        }
        match serde_json::from_slice(bytes).map_err(|error| NotControl(error.to_string()))? {
            Told::Disconnect(about) => Ok(Self::Disconnect { user: object::<User>(about)?.user.into() }),
            Told::Unsubscribe(about) => {
                let UserInRoom { user, room } = object(about)?;
                let room = Room::parse(&room).map_err(|error| NotControl(error.to_string()))?;
                Ok(Self::Unsubscribe { user: user.into(), room })
            }
        }
    }

    /// The reverse of [`parse`](Self::parse).
    pub fn to_json(&self) -> String {
        let written = match self {
            Self::Disconnect { user } => Written::Disconnect { user },
            Self::Unsubscribe { user, room } => Written::Unsubscribe { user, room: room.as_str() },
        };
        serde_json::to_string(&written).expect("plain texts always serialise")
    }
}

fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, NotControl> {
    if !raw.get().starts_with('{') {
        return Err(NotControl("an object has to say who is meant".to_owned()));
    }
    serde_json::from_str(raw.get()).map_err(|error| NotControl(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_as_they_are_written() {
        let room = Room::parse("chat:1").unwrap();
        for (control, json) in [
            (Control::Disconnect { user: "al\"ice".into() }, r#"{"disconnect":{"user":"al\"ice"}}"#),
            (
                Control::Unsubscribe { user: "bob".into(), room },
                r#"{"unsubscribe":{"user":"bob","room":"chat:1"}}"#,
            ),
        ] {
            assert_eq!(control.to_json(), json);
            assert_eq!(Control::parse(json.as_bytes()), Ok(control));
        }
    }

    #[test]
    fn anything_else_is_told_what_is_right() {
        let long = format!(r#"{{"disconnect":{{"user":"{}"}}}}"#, "x".repeat(CONTROL_BYTES_MAX));
        for wrong in [
            "",
            "[]",
            "{}",
            r#"{"disconnect":{}}"#,
            r#"{"disconnect":{"user":1}}"#,
            r#"{"disconnect":["a"]}"#,
            r#"{"unsubscribe":["a","b"]}"#,
            r#"{"disconnect":{"user":"a","all":true}}"#,
            r#"{"unsubscribe":{"user":"a","room":"a b"}}"#,
            r#"{"drain":{"user":"a"}}"#,
            &long,
        ] {
            let error = Control::parse(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("write {\"disconnect\""), "{wrong}: {error}");
        }
    }
}
