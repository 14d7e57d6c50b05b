//! Ids of the things that come and go: gateway processes and their connections.

use std::fmt;

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
    }
}
