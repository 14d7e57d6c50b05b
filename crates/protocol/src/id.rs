//! Ids of the things that come and go: gateway processes and their connections.

use std::fmt;
use std::str::FromStr;

/// One gateway process, for as long as it runs. Drawn at random at start, so that a restarted
/// process is never taken for the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

/// One socket or stream, unique in the cluster: the node and a number that the node counts up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The node that holds the connection.
    pub node: NodeId,
    /// Its number on that node; never used twice.
    pub serial: u64,
}

impl ConnectionId {
    /// Length of [`to_bytes`](Self::to_bytes).
    pub const BYTES: usize = 16;

    /// Sixteen bytes, big-endian, as they travel between nodes.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        ((u128::from(self.node.0) << 64) | u128::from(self.serial)).to_be_bytes()
    }

    /// The reverse of [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { node: NodeId((both >> 64) as u64), serial: both as u64 }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}", self.node, self.serial)
    }
}

/// A text that is not the id of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a connection")]
pub struct NotAConnectionId;

impl FromStr for ConnectionId {
    type Err = NotAConnectionId;

    fn from_str(text: &str) -> Result<Self, NotAConnectionId> {
        let (node, serial) = text.split_once('-').ok_or(NotAConnectionId)?;
        let number = |digits| u64::from_str_radix(digits, 16).map_err(|_| NotAConnectionId);
        Ok(Self { node: NodeId(number(node)?), serial: number(serial)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_trip() {
        for (node, serial) in [(0, 0), (1, 2), (u64::MAX, 1), (7, u64::MAX)] {
            let id = ConnectionId { node: NodeId(node), serial };
            assert_eq!(ConnectionId::from_bytes(id.to_bytes()), id);
        }
    }

    #[test]
    fn text() {
        let id = ConnectionId { node: NodeId(0xab), serial: 31 };
        assert_eq!(id.to_string(), "00000000000000ab-1f");
        assert_eq!("00000000000000ab-1f".parse(), Ok(id));
        for wrong in ["", "1", "x-1", "1-", "1-1-1"] {
            assert_eq!(wrong.parse::<ConnectionId>(), Err(NotAConnectionId), "{wrong}");
        }
    }
}
