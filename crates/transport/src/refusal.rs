//! Connections that are turned away before there is HTTP to answer them with: why, what they are
//! told, and how often.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The node has as many connections as it takes.
    Full,
    /// The node is asked for connections faster than it takes them.
    Rate,
    /// The client's address has as many connections as it may.
    Address,
    /// The PROXY header is missing or broken, or comes from someone who is not trusted to send one.
    Proxy,
    /// The TLS handshake failed, or was not through in time.
    Tls,
}

impl Refused {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Full, Self::Rate, Self::Address, Self::Proxy, Self::Tls];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Rate => "rate",
            Self::Address => "address",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
        }
    }

    /// What is written before such a connection is closed. It has not been read, so it cannot be
    /// answered better.
    pub(crate) fn answer(self) -> &'static [u8] {
        match self {
            Self::Full => FULL,
            Self::Rate => RATE,
            Self::Address => ADDRESS,
            // Not a client, or one that has got past the proxy.
            Self::Proxy => b"",
            Self::Tls => PLAIN,
        }
    }
}

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 135\r\n\r\n{\"type\":\"urn:roomcast:unavailable\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"this node has as many connections as it takes\"}";

const RATE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 140\r\n\r\n{\"type\":\"urn:roomcast:unavailable\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"this node takes no more connections in this second\"}";

const ADDRESS: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 140\r\n\r\n{\"type\":\"urn:roomcast:rate_limited\",\"title\":\"Too Many Requests\",\"status\":429,\"detail\":\"this address has as many connections as it may have\"}";

/// To those who speak plain HTTP where TLS is expected.
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nConnection: close\r\nContent-Length: 126\r\n\r\n{\"type\":\"urn:roomcast:bad_request\",\"title\":\"Bad Request\",\"status\":400,\"detail\":\"this port speaks TLS: use https:// or wss://\"}";

/// How many were turned away, by reason.
#[derive(Debug, Default)]
pub struct Refusals([AtomicU64; Refused::ALL.len()]);

impl Refusals {
    pub(crate) fn count(&self, reason: Refused) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many for this reason, since the start.
    pub fn get(&self, reason: Refused) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_well_formed() {
        for (index, reason) in Refused::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            if reason == Refused::Proxy {
                assert_eq!(reason.answer(), b"");
                continue;
            }
            let text = std::str::from_utf8(reason.answer()).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}", body.len())), "{text}: {}", body.len());
            let status = serde_json::from_str::<serde_json::Value>(body).unwrap()["status"].clone();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert_eq!(head.contains("Retry-After"), status != 400, "{head}");
        }
    }
}
