//! Channel names. A room has two:
//!
//! * `<prefix><room>`, by default `room:<room>`, where backends publish: its payloads are taken
//!   verbatim, whatever bytes they have;
//! * `{<prefix><room>}:m`, where gateways publish: its payloads are envelopes (see [`crate::envelope`]).
//!
//! One channel for both would need a mark to tell them apart, and any mark could be forged by
//! whoever gets a backend to publish a text of his choice. Both names hash to the same slot, one
//! Redis server therefore orders both, and one connection keeps that order.

use roomcast_broker::NodeInfo;
use roomcast_protocol::{NodeId, Room};

/// Makes and reads the names of one cluster.
#[derive(Debug)]
pub(crate) struct Channels {
    prefix: String,
    probe: String,
}

const PROBE_PREFIX: &str = "roomcast:probe:";
const MESSAGE_SUFFIX: &str = "}:m";

/// Where backends and operators say what they wish about a user.
pub(crate) const CONTROL: &str = "roomcast:control";

/// What a channel is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Channel<'a> {
    /// A backend's payloads for the room of this name.
    Plain(&'a str),
    /// Envelopes for the room of this name.
    Message(&'a str),
    /// Wishes about users.
    Control,
    /// This node's probes.
    Probe,
    /// None of ours.
    Foreign,
}

impl Channels {
    pub(crate) fn new(prefix: &str, node: &NodeInfo) -> Self {
        // Id and name in it, so that a list of these channels is a list of the nodes.
        let probe = format!("{PROBE_PREFIX}{}:{}", node.id, node.name);
        Self { prefix: prefix.to_owned(), probe }
    }

    /// Matches the probe channels of all nodes.
    pub(crate) fn all_probes() -> String {
        format!("{PROBE_PREFIX}*")
    }

    /// The node whose probe channel this is.
    pub(crate) fn node_of(probe: &str) -> Option<NodeInfo> {
        let (id, name) = probe.strip_prefix(PROBE_PREFIX)?.split_once(':')?;
        let id = u64::from_str_radix(id, 16).ok().map(NodeId)?;
        Some(NodeInfo { id, name: name.to_owned() })
    }

    /// Where backends publish to the room.
    pub(crate) fn plain(&self, room: &Room) -> String {
        format!("{}{room}", self.prefix)
    }

    /// Where gateways publish to the room.
    pub(crate) fn message(&self, room: &Room) -> String {
        format!("{{{}{room}{MESSAGE_SUFFIX}", self.prefix)
    }

    /// Where this node publishes to itself.
    pub(crate) fn probe(&self) -> &str {
        &self.probe
    }

    pub(crate) fn classify<'a>(&self, channel: &'a [u8]) -> Channel<'a> {
        let Ok(channel) = std::str::from_utf8(channel) else { return Channel::Foreign };
        if channel == CONTROL {
            return Channel::Control;
        }
        if channel == self.probe {
            return Channel::Probe;
        }
        if let Some(room) = channel.strip_prefix(&*self.prefix) {
            return Channel::Plain(room);
        }
        let inner = channel.strip_prefix('{').and_then(|rest| rest.strip_prefix(&*self.prefix));
        match inner.and_then(|rest| rest.strip_suffix(MESSAGE_SUFFIX)) {
            Some(room) => Channel::Message(room),
            None => Channel::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_made() {
        for prefix in ["room:", "", "app1:room:"] {
            let channels = Channels::new(prefix, &NodeInfo { id: NodeId(7), name: "n:1".to_owned() });
            let room = Room::parse("chat:4~2").unwrap();
            let (plain, message) = (channels.plain(&room), channels.message(&room));
            assert_eq!(message, format!("{{{plain}}}:m"));
            if !prefix.is_empty() {
                assert_eq!(channels.classify(plain.as_bytes()), Channel::Plain("chat:4~2"));
                assert_eq!(channels.classify(message.as_bytes()), Channel::Message("chat:4~2"));
                assert_eq!(channels.classify(b"other"), Channel::Foreign);
            }
            assert_eq!(channels.classify(b"roomcast:probe:0000000000000007:n:1"), Channel::Probe);
            assert_eq!(channels.classify(b"roomcast:control"), Channel::Control);
            assert_eq!(channels.classify(b"\xff"), Channel::Foreign);
            let node = Channels::node_of(channels.probe()).unwrap();
            assert_eq!((node.id, &*node.name), (NodeId(7), "n:1"));
        }
    }
}
