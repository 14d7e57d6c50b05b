//! What each node says of itself, as the nodes tell Redis: its connections, its version, whether it drains.

use redis::{Cmd, Value};
use roomcast_broker::{BrokerError, BrokerErrorKind, NodeReport, VERSION_BYTES_MAX};
use roomcast_protocol::NodeId;

use crate::functions::NODES_REPORT;

/// The hash of nodes and what they have said.
const NODES: &str = "roomcast:nodes";

/// What a node that drains says before its version.
const DRAINING: &str = "draining";
/// What the others say there.
const SERVING: &str = "serving";

/// Says what this node has to say, and asks for the others'.
pub(crate) fn report(own: &NodeReport) -> Cmd {
    let NodeReport { id, connections, draining, version } = own;
    let rest = format!("{} {version}", if *draining { DRAINING } else { SERVING });
    let mut command = Cmd::new();
    command.arg("FCALL").arg(NODES_REPORT).arg(1).arg(NODES).arg(id.to_string()).arg(*connections).arg(rest);
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
    items.chunks(3).map(one).collect::<Option<_>>().ok_or_else(unexpected)
}

fn one(said: &[Value]) -> Option<NodeReport> {
    let [node, connections, rest] = said else { return None };
    let id = u64::from_str_radix(text(node)?, 16).ok().map(NodeId)?;
    let connections = text(connections)?.parse().ok()?;
    // Empty where an older version has spoken.
    let (state, version) = text(rest)?.split_once(' ').unwrap_or_default();
    let version = if version.len() > VERSION_BYTES_MAX { "" } else { version };
    Some(NodeReport { id, connections, draining: state == DRAINING, version: version.to_owned() })
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let long = format!("serving {}", "1".repeat(VERSION_BYTES_MAX + 1));
        let said = [
            ["000000000000000a", "7", "serving 0.2.0"],
            ["0b", "0", "draining 0.1.9"],
            ["0c", "1", ""],
            ["0d", "2", &long],
        ];
        let report = |id, connections, draining, version: &str| NodeReport {
            id: NodeId(id),
            connections,
            draining,
            version: version.to_owned(),
        };
        let expected = [
            report(10, 7, false, "0.2.0"),
            report(11, 0, true, "0.1.9"),
            report(12, 1, false, ""),
            report(13, 2, false, ""),
        ];
        assert_eq!(
            reports(&Value::Array(said.as_flattened().iter().map(|word| text(word)).collect())).unwrap(),
            expected
        );
        let odd = [
            Value::Nil,
            Value::Array(vec![text("a")]),
            Value::Array(vec![text("x y"), text("1"), text("")]),
            Value::Array(vec![text("a"), text("1"), Value::Nil]),
        ];
        for odd in odd {
            assert!(reports(&odd).is_err(), "{odd:?}");
        }
    }
}
