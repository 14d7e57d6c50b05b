//! Everything that can be set. One table: the reader, the check, the environment overlay and
//! `roomcast config default` all come from it.

use super::value::Kind;

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// Table and name, as in `broker.url`; the bare name for options of a namespace.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    /// The default, as it stands in a file.
    pub(crate) default: &'static str,
    /// What it does; lines of the commented default file.
    pub(crate) help: &'static str,
}

const fn key(path: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Key {
    Key { path, kind, default, help }
}

/// All settings but those of namespaces, in the order of the default file.
pub(crate) const KEYS: &[Key] = &[
    key(
        "node.name",
        Kind::Text,
        "\"\"",
        "The node's name, as clients and logs see it. Empty: the host's name.",
    ),
    key(
        "server.listen",
        Kind::Address,
        "\"127.0.0.1:8080\"",
        "Where clients connect: WebSocket, SSE and HTTP, HTTP/1.1 and HTTP/2 on one port.",
    ),
    key(
        "server.cores",
        Kind::Number { min: 0, max: 64 },
        "0",
        "Threads that hold connections. 0: one for each core of the machine.",
    ),
    key(
        "server.heartbeat",
        Kind::Duration { min_ms: 1_000, max_ms: 3_600_000 },
        "\"30s\"",
        "How often peers are pinged; one that is silent for two intervals is closed.\nRead at start only.",
    ),
    key(
        "admin.listen",
        Kind::Address,
        "\"127.0.0.1:9090\"",
        "Where operators connect: /metrics, /livez, /readyz. Not for the public.",
    ),
    key(
        "admin.key",
        Kind::Text,
        "\"\"",
        "Bearer token for /api and /drain from other machines. Empty: from this machine only.\nRead at start only.",
    ),
    key(
        "broker.url",
        Kind::Text,
        "\"\"",
        "How nodes reach each other: redis://[user:password@]host:port[/database].\nEmpty: an embedded broker in memory, for one node.",
    ),
    key(
        "broker.prefix",
        Kind::Text,
        "\"room:\"",
        "What stands before a room's name in a Redis channel: PUBLISH room:<room> <payload>.",
    ),
    key(
        "broker.timeout",
        Kind::Duration { min_ms: 100, max_ms: 60_000 },
        "\"5s\"",
        "How long Redis may take to answer, or be silent, before the connection is made anew.",
    ),
    key(
        "auth.mode",
        Kind::Choice(&["", "open"]),
        "\"\"",
        "\"open\": every room is open to everyone who can connect. Has to be said in so many words\nbefore server.listen may be anything but a loopback address.",
    ),
    key(
        "cors.origins",
        Kind::Texts,
        "[]",
        "Origins whose pages may use SSE and HTTP from the browser, such as \"https://app.example\".\n\"*\": any. Pages of the same origin always may.",
    ),
    key(
        "sse.retry",
        Kind::Duration { min_ms: 0, max_ms: 3_600_000 },
        "\"2s\"",
        "How long an EventSource waits before it reconnects.",
    ),
    key(
        "limits.connections",
        Kind::Number { min: 0, max: 100_000_000 },
        "0",
        "Connections of this node. 0: as many as the file descriptor limit allows.\nRead at start only.",
    ),
    key(
        "limits.outbox_bytes",
        Kind::Size { min: 4 << 10, max: 1 << 30 },
        "\"1MiB\"",
        "What may wait for one client. A client that lets more pile up is closed with 4408, but see\noverflow of namespaces.",
    ),
    key(
        "limits.rooms_per_connection",
        Kind::Number { min: 1, max: 10_000 },
        "128",
        "Rooms that one connection may be in.",
    ),
    key(
        "drain.window",
        Kind::Duration { min_ms: 0, max_ms: 3_600_000 },
        "\"20s\"",
        "After SIGTERM clients are asked to leave, evenly over this time.\nRead at start only.",
    ),
    key(
        "log.level",
        Kind::Text,
        "\"info\"",
        "error, warn, info, debug or trace, or per part: \"info,roomcast_broker_redis=debug\".\nRead at start only.",
    ),
    key(
        "log.format",
        Kind::Choice(&["text", "json"]),
        "\"text\"",
        "How log lines look, on standard error. Read at start only.",
    ),
];

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
        Kind::Choice(&["anyone", "server"]),
        "\"anyone\"",
        "Who may publish: every client, or backend services through Redis only.",
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
];

/// The table of options that holds for rooms without a namespace or with one that is not listed.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";

/// A commented file with every setting at its default.
pub(crate) fn default_file() -> String {
    let mut out = String::from(
        "# roomcast configuration: every setting at its default.\n\
         # Environment variables come before this file: ROOMCAST_BROKER__URL is broker.url.\n\
         # Flags come before both: --set broker.url=redis://127.0.0.1:6379\n",
    );
    let mut table = "";
    for key in KEYS {
        let (this, name) = key.path.split_once('.').unwrap_or(("", key.path));
        if this != table {
            out += &format!("\n[{this}]\n");
            table = this;
        }
        write(&mut out, key, name);
    }
    out += "\n# Rooms whose name has no colon, and those of namespaces that are not listed.\n";
    out += &format!("[namespaces.{DEFAULT_NAMESPACE}]\n");
    for key in NAMESPACE_KEYS {
        write(&mut out, key, key.path);
    }
    out += "\n# The rooms chat:… have options of their own:\n# [namespaces.chat]\n# max_message_bytes = \"4KiB\"\n";
    out
}

fn write(out: &mut String, key: &Key, name: &str) {
    for line in key.help.lines() {
        *out += &format!("# {line}\n");
    }
    *out += &format!("{name} = {}\n", key.default);
}
