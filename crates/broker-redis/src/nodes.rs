//! How many connections each node has, as the nodes tell Redis.

use redis::{Cmd, Value};
use roomcast_broker::{BrokerError, BrokerErrorKind, NodeReport};
use roomcast_protocol::NodeId;

use crate::functions::NODES_REPORT;

/// The hash of nodes and what they have said.
const NODES: &str = "roomcast:nodes";

/// Says how many connections this node has, and asks for the others'.
pub(crate) fn report(node: NodeId, connections: u64) -> Cmd {
    let mut command = Cmd::new();
    command.arg("FCALL").arg(NODES_REPORT).arg(1).arg(NODES).arg(node.to_string()).arg(connections);
    command
}

/// This node is not counted any more.
pub(crate) fn leave(node: NodeId) -> Cmd {
    let mut command = Cmd::new();
    command.arg("HDEL").arg(NODES).arg(node.to_string());
    command
}

/// The answer to a report.
pub(crate) fn reports(answer: &Value) -> Result<Vec<NodeReport>, BrokerError> {
    let unexpected = || BrokerError::new(BrokerErrorKind::Rejected, "Redis answered something unexpected");
    let Value::Array(items) = answer else { return Err(unexpected()) };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        _ => None,
    };
    let report = |pair: &[Value]| {
        let [node, connections] = pair else { return None };
        let id = u64::from_str_radix(&text(node)?, 16).ok().map(NodeId)?;
        Some(NodeReport { id, connections: text(connections)?.parse().ok()? })
    };
    items.chunks(2).map(report).collect::<Option<_>>().ok_or_else(unexpected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let answer = Value::Array(vec![text("000000000000000a"), text("7"), text("0b"), text("0")]);
        let expected = [(10, 7), (11, 0)].map(|(id, connections)| NodeReport { id: NodeId(id), connections });
        assert_eq!(reports(&answer).unwrap(), expected);
        for odd in [Value::Nil, Value::Array(vec![text("a")]), Value::Array(vec![text("x y"), text("1")])] {
            assert!(reports(&odd).is_err(), "{odd:?}");
        }
    }
}
