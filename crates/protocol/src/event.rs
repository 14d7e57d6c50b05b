//! Event names: what kind of message it is, as `addEventListener` knows it.

use std::fmt;
use std::sync::Arc;

use crate::limits::EVENT_BYTES_MAX;

/// The name that a message has when nobody gave it one.
pub const DEFAULT: &str = "message";

/// Names that the gateway itself uses on an SSE stream. A client's message must not pass for them.
const RESERVED: [&str; 5] = ["connected", "reset", "dropped", "unsubscribed", "goodbye"];

/// A valid event name other than `message`; the default is the absence of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName(Arc<str>);

/// Why a text is not an event name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The name has more than [`EVENT_BYTES_MAX`] bytes.
    #[error("an event name may have {EVENT_BYTES_MAX} bytes at most, this one has {0}")]
    TooLong(usize),
    /// The name has a line break, NUL or another control character, which no SSE field can carry.
    #[error("an event name must not have control characters")]
    Control,
    /// The name is one of the gateway's own.
    #[error("the event name {0:?} is the gateway's own; choose another")]
    Reserved(String),
}

impl EventName {
    /// Checks a name. Empty and `message` are the default and give `None`.
    pub fn parse(name: &str) -> Result<Option<Self>, EventError> {
        if name.is_empty() || name == DEFAULT {
            return Ok(None);
        }
        if name.len() > EVENT_BYTES_MAX {
            return Err(EventError::TooLong(name.len()));
        }
        if name.chars().any(char::is_control) {
            return Err(EventError::Control);
        }
        if RESERVED.contains(&name) {
            return Err(EventError::Reserved(name.to_owned()));
        }
        Ok(Some(Self(name.into())))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(EventName::parse(""), Ok(None));
        assert_eq!(EventName::parse("message"), Ok(None));
        assert_eq!(EventName::parse("order-paid").unwrap().unwrap().as_str(), "order-paid");
        assert_eq!(EventName::parse("größe").unwrap().unwrap().as_str(), "größe");
        assert_eq!(EventName::parse("a\nb"), Err(EventError::Control));
        assert_eq!(EventName::parse("a\0"), Err(EventError::Control));
        assert_eq!(EventName::parse("\u{85}"), Err(EventError::Control));
        assert_eq!(EventName::parse(&"e".repeat(101)), Err(EventError::TooLong(101)));
        for name in RESERVED {
            assert_eq!(EventName::parse(name), Err(EventError::Reserved(name.into())));
        }
    }
}
