//! Why something is not done: a class for programs and a sentence for people.

use std::borrow::Cow;
use std::fmt;

use roomcast_broker::{BrokerError, BrokerErrorKind};
use roomcast_protocol::{Close, ErrorCode};

use crate::auth::TokenError;

/// An answer that says no. On a WebSocket it becomes an `error` frame, over HTTP a problem document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The class.
    pub code: ErrorCode,
    /// What the client's author can do about it.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal of this class.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(ErrorCode::Unavailable, "the message broker does not answer; try again")
    }
}

impl From<BrokerError> for Refusal {
    /// What the broker said stays in the log: it names addresses that are not the client's business.
    fn from(error: BrokerError) -> Self {
        match error.kind() {
            BrokerErrorKind::Rejected => {
                let message = "the message broker refuses this; the gateway's log has the reason";
                Self::new(ErrorCode::Unavailable, message)
            }
            _ => Self::unavailable(),
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::KeysUnavailable => ErrorCode::Unavailable,
            _ => ErrorCode::Unauthorized,
        };
        Self::new(code, error.to_string())
    }
}

impl Refusal {
    /// How a WebSocket ends that is refused for who the client is or what it does; none where trying again may help,
    /// or where the request itself is wrong.
    pub fn close(&self) -> Option<Close> {
        let code = match self.code {
            ErrorCode::Unauthorized => 4401,
            ErrorCode::Forbidden => 4403,
            ErrorCode::RateLimited => 4429,
            _ => return None,
        };
        Some(Close::new(code, self.message.clone()))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
