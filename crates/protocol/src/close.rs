//! Why a connection ends: WebSocket close codes and reasons.

use std::borrow::Cow;

use crate::limits::CLOSE_REASON_BYTES_MAX;

/// A close code with its reason. Codes below 4000 are those of RFC 6455, section 7.4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The status code as it is sent.
    pub code: u16,
    /// A sentence for whoever looks at the client's log; at most 123 bytes.
    reason: Cow<'static, str>,
}

impl Close {
    /// Normal end, asked for by the peer.
    pub const NORMAL: Self = Self::fixed(1000, "");
    /// The node stops now.
    pub const GOING_AWAY: Self = Self::fixed(1001, "node stops now");
    /// The peer has shown no sign of life for two heartbeat intervals.
    pub const SILENT: Self = Self::fixed(1008, "no sign of life for two heartbeats");
    /// Raw mode was asked for without a room.
    pub const ROOM_REQUIRED: Self = Self::fixed(4001, "room required");
    /// The peer reads more slowly than its rooms speak.
    pub const SLOW_CONSUMER: Self = Self::fixed(4408, "slow consumer: reconnect and resume");

    /// An operator has ended the connection.
    pub const DISCONNECTED: Self = Self::fixed(4410, "disconnected by an operator");

    /// The peer goes on sending too fast, whatever it is told.
    pub const TOO_FAST: Self = Self::fixed(4429, "rate limited: too many messages in spite of errors");

    /// A backend service has taken the client out of its only room.
    pub const UNSUBSCRIBED: Self = Self::fixed(4403, "unsubscribed by the service");

    const fn fixed(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }

    /// A close with a reason of its own, cut at a character boundary to what a frame can hold.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.len() > CLOSE_REASON_BYTES_MAX {
            let end = (0..=CLOSE_REASON_BYTES_MAX).rev().find(|i| reason.is_char_boundary(*i)).unwrap_or(0);
            reason = Cow::Owned(reason[..end].to_owned());
        }
        Self { code, reason }
    }

    /// A paced leave: the node drains; the reason holds the delay before reconnecting.
    pub fn drain(reconnect_ms: u64) -> Self {
        Self::new(1012, format!("reconnect_ms={reconnect_ms}"))
    }

    /// The reason as text.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// Whether a peer may send `code` in a close frame (RFC 6455, section 7.4, and the registered
/// additions 1012 to 1014).
pub fn may_be_received(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_cut_at_a_character() {
        let close = Close::new(4000, "é".repeat(100));
        assert_eq!(close.reason().len(), 122);
        assert_eq!(Close::drain(1500).reason(), "reconnect_ms=1500");
    }

    #[test]
    fn codes_that_may_be_received() {
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
            assert!(may_be_received(code), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(!may_be_received(code), "{code}");
        }
    }
}
