//! Why a publication did not get through.

use std::fmt;

/// An error of a broker: its kind, and a sentence for the log and the publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerError {
    kind: BrokerErrorKind,
    message: String,
}

/// What a publisher may conclude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BrokerErrorKind {
    /// It was not sent: the broker is down or busy. Trying again is safe.
    Unavailable,
    /// It was sent and no answer came in time: it may have been published.
    InDoubt,
    /// The broker has answered, with a refusal.
    Rejected,
}

impl BrokerErrorKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Unavailable, Self::InDoubt, Self::Rejected];

    /// A short name for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::InDoubt => "in_doubt",
            Self::Rejected => "rejected",
        }
    }
}

impl BrokerError {
    /// An error of this kind.
    pub fn new(kind: BrokerErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What the publisher may conclude.
    pub fn kind(&self) -> BrokerErrorKind {
        self.kind
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BrokerError {}
