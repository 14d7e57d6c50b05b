//! The options of rooms, by namespace: the other part of the table.

use super::{Key, key};
use crate::config::value::Kind;

/// The options of one namespace, `[namespaces.NAME]`.
pub(crate) const NAMESPACE_KEYS: &[Key] = &[
    key(
        "max_message_bytes",
        Kind::Size { min: 1, max: 32 << 20 },
        "\"64KiB\"",
        "Longest message that a client may publish.",
    ),
    key(
        "publish",
        Kind::Choice(&["token", "anyone", "server"]),
        "\"token\"",
        "Who may publish: whose token grants it (everyone, while no keys are configured), every client,\nor backend services through Redis only.",
    ),
    key(
        "subscribe",
        Kind::Choice(&["token", "anyone"]),
        "\"token\"",
        "Who may subscribe: whose token grants it (everyone, while no keys are configured), or every client.",
    ),
    key(
        "echo",
        Kind::Choice(&["auto", "always", "never"]),
        "\"auto\"",
        "Whether senders get their own messages where they do not ask.\nauto: not in raw mode, yes in JSON mode.",
    ),
    key(
        "history",
        Kind::Number { min: 0, max: 1_000_000 },
        "0",
        "How many messages a room keeps, for clients that come back. 0: none.",
    ),
    key(
        "history_ttl",
        Kind::Duration { min_ms: 1_000, max_ms: 365 * 24 * 3_600_000 },
        "\"1h\"",
        "How long it keeps them after the last one.",
    ),
    key(
        "presence",
        Kind::Flag,
        "false",
        "Whether clients may know who is in a room, who comes and who goes.",
    ),
    key(
        "overflow",
        Kind::Choice(&["disconnect", "drop_oldest", "latest"]),
        "\"disconnect\"",
        "What becomes of messages when limits.outbox_bytes wait for a client already. It is closed\nwith 4408; or the oldest that wait are dropped; or, latest: a client that is behind has\nonly the newest waiting. Clients are told how many they miss, but for raw mode.",
    ),
    key(
        "rate",
        Kind::Number { min: 0, max: 1_000_000 },
        "0",
        "Messages that one WebSocket may publish to these rooms each second, within limits.messages_per_second.\n0: as many as that allows.",
    ),
];
