//! What an operator decides about conversations. Replaced as a whole when the configuration is
//! loaded anew; a conversation reads it for each command.

use std::collections::HashMap;
use std::time::Duration;

use roomcast_broker::{Retention, RetentionTable};
use roomcast_hub::OverflowPolicy;
use roomcast_protocol::Room;
use roomcast_protocol::limits::ENVELOPE_BYTES_MAX;
use roomcast_protocol::wire::deflate::DeflateSettings;

use crate::rate_limit::Rates;

/// The settings of one node.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The node's name, as clients see it.
    pub node: String,
    /// How often the server looks for a sign of life.
    pub heartbeat: Duration,
    /// How old connections may get, if there is a bound to it.
    pub max_age: Option<MaxAge>,
    /// What an SSE client waits before it reconnects.
    pub sse_retry: Duration,
    /// What a client of JSON mode may take to send the token that it needs.
    pub first_message: Duration,
    /// How much may wait for one client, in bytes.
    pub outbox_bytes: usize,
    /// How many rooms one connection may be in.
    pub rooms_per_connection: usize,
    /// How many connections one user may have on this node; 0: any number.
    pub connections_per_user: usize,
    /// How fast one connection may send.
    pub rates: Rates,
    /// How messages are compressed for WebSockets that agree, if at all. A core asks when it starts.
    pub deflate: Option<DeflateSettings>,
    /// Options of rooms.
    pub namespaces: Namespaces,
}

/// How old a connection may get before its client is asked to connect anew, so that clients spread again over nodes
/// that have come since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge {
    /// The longest age.
    pub limit: Duration,
    /// How much of it, in percent, chance may take away, so that those who came together do not go together.
    pub jitter_percent: u32,
}

impl MaxAge {
    /// The age of a connection with this luck, from the least to the most that chance may take away.
    pub fn with_luck(self, luck: u16) -> Duration {
        let taken = f64::from(self.jitter_percent.min(100)) / 100.0 * f64::from(luck) / f64::from(u16::MAX);
        self.limit.mul_f64(1.0 - taken)
    }

    /// No connection is asked before that.
    pub fn earliest(self) -> Duration {
        self.with_luck(u16::MAX)
    }
}

/// Options of rooms, by namespace.
#[derive(Debug, Clone, Default)]
pub struct Namespaces {
    /// Rooms whose namespace is not listed, and rooms without one.
    pub default: Namespace,
    /// The listed ones.
    pub named: HashMap<String, Namespace>,
}

/// Options of the rooms of one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Longest payload, in bytes.
    pub max_message_bytes: usize,
    /// Who may publish.
    pub publish: PublishRule,
    /// Who may subscribe.
    pub subscribe: SubscribeRule,
    /// Whether senders get their own messages where they do not say; `None`: not in raw mode, yes
    /// in JSON mode.
    pub echo: Option<bool>,
    /// How much is kept, if anything.
    pub history: Option<Retention>,
    /// Whether clients may know who is in a room.
    pub presence: bool,
    /// What happens to messages that a client does not take in time.
    pub overflow: OverflowPolicy,
    /// How many messages a second one connection may publish; 0: as many as connections may at all.
    pub rate: u64,
}

/// Who may publish to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishRule {
    /// Those whose token grants it. While no keys are configured that is everyone.
    Token,
    /// Every client.
    Anyone,
    /// Backends only, through the broker.
    Server,
}

/// Who may subscribe to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeRule {
    /// Those whose token grants it. While no keys are configured that is everyone.
    Token,
    /// Every client, also without a token.
    Anyone,
}

impl Default for Namespace {
    fn default() -> Self {
        Self {
            max_message_bytes: 64 * 1024,
            publish: PublishRule::Token,
            subscribe: SubscribeRule::Token,
            echo: None,
            history: None,
            presence: false,
            overflow: OverflowPolicy::default(),
            rate: 0,
        }
    }
}

impl Namespaces {
    /// The options of a room.
    pub fn of(&self, room: &Room) -> &Namespace {
        room.namespace().and_then(|name| self.named.get(name)).unwrap_or(&self.default)
    }

    /// The namespace whose options a room has; empty for the default one, however many names clients make up.
    pub(crate) fn name_of<'a>(&self, room: &'a Room) -> &'a str {
        room.namespace().filter(|name| self.named.contains_key(*name)).unwrap_or_default()
    }

    /// What the rooms keep, as brokers want to know it.
    pub fn retention(&self) -> RetentionTable {
        let named = self.named.iter().map(|(name, namespace)| (name.clone(), namespace.history));
        RetentionTable { default: self.default.history, namespaces: named.collect() }
    }

    /// The longest payload of any room, in bytes.
    pub fn max_message_bytes(&self) -> usize {
        let named = self.named.values().map(|namespace| namespace.max_message_bytes);
        named.fold(self.default.max_message_bytes, usize::max)
    }
}

impl Settings {
    /// The longest frame of JSON mode, in bytes: the longest payload in base64, and what stands
    /// around it.
    pub fn json_frame_bytes_max(&self) -> usize {
        self.namespaces.max_message_bytes().div_ceil(3) * 4 + ENVELOPE_BYTES_MAX
    }

    /// How often a client that cannot see pings should send one itself, in seconds: often enough
    /// that the server, which looks every `heartbeat`, always finds a sign of life.
    pub fn client_heartbeat_s(&self) -> u64 {
        (self.heartbeat.as_secs() * 5 / 6).max(1)
    }
}

#[cfg(test)]
impl Settings {
    /// Settings that differ from test to test in rooms only.
    pub(crate) fn for_tests(rooms_per_connection: usize, namespaces: Namespaces) -> Self {
        Self {
            node: "n".into(),
            heartbeat: Duration::from_secs(30),
            max_age: None,
            sse_retry: Duration::from_secs(2),
            first_message: Duration::from_secs(10),
            outbox_bytes: 1 << 20,
            rooms_per_connection,
            connections_per_user: 0,
            rates: Rates::default(),
            deflate: None,
            namespaces,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_takes_away_so_much_and_no_more() {
        let age = MaxAge { limit: Duration::from_secs(100), jitter_percent: 20 };
        assert_eq!((age.with_luck(0), age.earliest()), (Duration::from_secs(100), Duration::from_secs(80)));
        let half = age.with_luck(u16::MAX / 2).as_secs_f64();
        assert!((89.9..90.1).contains(&half), "{half}");
        let none = MaxAge { jitter_percent: 0, ..age };
        assert_eq!(none.earliest(), none.limit);
    }

    #[test]
    fn options_are_found_by_namespace() {
        let small = Namespace { max_message_bytes: 10, ..Namespace::default() };
        let namespaces =
            Namespaces { default: Namespace::default(), named: HashMap::from([("chat".to_owned(), small)]) };
        for (room, expected) in [("chat:1", 10), ("chat", 65536), ("other:1", 65536), ("@chat:1", 65536)] {
            assert_eq!(namespaces.of(&Room::parse(room).unwrap()).max_message_bytes, expected, "{room}");
        }
        assert_eq!(namespaces.max_message_bytes(), 65536);
        for (room, expected) in
            [("chat:1", "chat"), ("chat", ""), ("other:1", ""), (":1", ""), ("@chat:1", "")]
        {
            assert_eq!(namespaces.name_of(&Room::parse(room).unwrap()), expected, "{room}");
        }
    }
}
