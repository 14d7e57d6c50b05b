//! Everything that can be set. One table: the reader, the check, the environment overlay and
//! `roomcast config default` all come from it.

mod namespace;

use super::value::Kind;
pub(crate) use namespace::NAMESPACE_KEYS;

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
        "server.hosts",
        Kind::Texts,
        "[]",
        "Names that clients may reach this service by, as in their Host header: \"rt.example\", \"*.rt.example\".\nEmpty: any. Others are refused with 421.",
    ),
    key(
        "server.cores",
        Kind::Number { min: 0, max: 64 },
        "0",
        "Threads that hold connections. 0: one for each core of the machine.",
    ),
    key(
        "server.placement",
        Kind::Choice(&["by_room", "least_loaded"]),
        "\"by_room\"",
        "Which of them a connection goes to. by_room: the members of a small room together, so that a message\nwakes one thread, and with the reader of the broker while there are few. least_loaded: to the one with the fewest.",
    ),
    key(
        "server.cluster_thread",
        Kind::Choice(&["auto", "shared", "own"]),
        "\"auto\"",
        "Where messages come in from the broker. shared: on the first of them, which saves waking another.\nown: on one more. auto: own with 4 or more.",
    ),
    key(
        "server.batched_writes",
        Kind::Choice(&["auto", "off"]),
        "\"auto\"",
        "Whether messages for many clients are handed to the kernel together (io_uring, Linux 6.1 or newer). auto: where\nit lets us.",
    ),
    key(
        "server.heartbeat",
        Kind::Duration { min_ms: 1_000, max_ms: 3_600_000 },
        "\"30s\"",
        "How often peers are pinged; one that is silent for two intervals is closed.\nRead at start only.",
    ),
    key(
        "server.max_connection_age",
        Kind::Duration { min_ms: 0, max_ms: 365 * 24 * 3_600_000 },
        "\"0s\"",
        "How old a connection may get before its client is asked to connect anew, as in a drain, so that clients\nspread over nodes that have come since. Looked at once a heartbeat. 0s: any age.",
    ),
    key(
        "server.max_connection_age_jitter",
        Kind::Number { min: 0, max: 100 },
        "20",
        "How much of that age, in percent, chance takes away at most: who came together does not leave together.",
    ),
    key(
        "server.trusted_proxies",
        Kind::Texts,
        "[]",
        "Addresses or networks of proxies, such as \"10.0.0.0/8\", whose word about the client's address is taken:\nX-Forwarded-For, and the PROXY protocol where it is required.",
    ),
    key(
        "server.proxy_protocol",
        Kind::Choice(&["off", "required"]),
        "\"off\"",
        "\"required\": every connection begins with a PROXY header, version 1 or 2, and comes from a trusted proxy.",
    ),
    key(
        "tls.certificates",
        Kind::Texts,
        "[]",
        "server.listen speaks TLS with these: \"chain.pem:key.pem\", or one file that holds both. A client gets the one\nthat has the name it asks for, else the first. Read again when the files change. Empty: no TLS.",
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
        "admin.tls.certificates",
        Kind::Texts,
        "[]",
        "admin.listen speaks TLS with these, written as tls.certificates. Empty: no TLS.",
    ),
    key(
        "admin.tls.client_ca",
        Kind::Text,
        "\"\"",
        "PEM file with authorities: whoever asks anything of admin.listen, /livez and /readyz too, must show a\ncertificate of one of them. Empty: nobody has to.",
    ),
    key(
        "broker.url",
        Kind::Text,
        "\"\"",
        "How nodes reach each other: redis://[user:password@]host:port[/database], rediss:// with TLS.\nEmpty: an embedded broker in memory, for one node.",
    ),
    key(
        "broker.password_file",
        Kind::Text,
        "\"\"",
        "A file whose first line is the password, instead of one in broker.url.",
    ),
    key(
        "broker.tls.ca",
        Kind::Text,
        "\"\"",
        "PEM file with the authorities that Redis' certificate must come from. Empty: those of the operating system.",
    ),
    key(
        "broker.tls.certificate",
        Kind::Text,
        "\"\"",
        "PEM files that this node shows to Redis, where Redis asks for a client certificate.",
    ),
    key("broker.tls.key", Kind::Text, "\"\"", "Both or none."),
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
        "\"open\": every room is open to everyone who can connect. Without keys it has to be said in so\nmany words before server.listen may be anything but a loopback address.",
    ),
    key(
        "auth.keys",
        Kind::Texts,
        "[]",
        "What tokens are signed with: ALG:SOURCE:VALUE or ALG/KID:SOURCE:VALUE, each key for one algorithm.\nSOURCE: env, file, text or base64. VALUE: a secret, or a public key in PEM or as a JWK.\n\"HS256:env:JWT_SECRET\", \"ES256/2026-1:file:/etc/roomcast/jwt.pem\". See docs/tokens.md.",
    ),
    key(
        "auth.jwks_url",
        Kind::Text,
        "\"\"",
        "Where an issuer publishes its keys, such as \"https://issuer.example/.well-known/jwks.json\".",
    ),
    key(
        "auth.jwks_refresh",
        Kind::Duration { min_ms: 60_000, max_ms: 24 * 3_600_000 },
        "\"10m\"",
        "How long published keys are used at most before they are fetched again.",
    ),
    key(
        "auth.jwks_ca",
        Kind::Text,
        "\"\"",
        "PEM file with authorities to trust for auth.jwks_url, besides those of the web.",
    ),
    key("auth.issuer", Kind::Text, "\"\"", "What a token's iss must be. Empty: anything."),
    key(
        "auth.audience",
        Kind::Texts,
        "[]",
        "What a token's aud must be, or have one of. Empty: it is not looked at.",
    ),
    key(
        "auth.leeway",
        Kind::Duration { min_ms: 0, max_ms: 300_000 },
        "\"5s\"",
        "How far the clocks of issuer and node may be apart, in whole seconds.",
    ),
    key(
        "auth.expiry",
        Kind::Choice(&["required", "optional"]),
        "\"required\"",
        "Whether a token must have exp. Nothing ends one that has not, but the end of its key.",
    ),
    key("auth.cookie", Kind::Text, "\"\"", "The cookie that may hold a token. Empty: none."),
    key(
        "cors.origins",
        Kind::Texts,
        "[]",
        "Origins whose pages may connect from a browser, such as \"https://app.example\" or \"https://*.app.example\".\n\"*\": any. Pages of the same origin always may; others are refused with 403.",
    ),
    key(
        "console.enabled",
        Kind::Flag,
        "false",
        "Whether browsers are shown the console at GET / although clients need a token. Where they do not, it is\nalways there.",
    ),
    key(
        "sse.retry",
        Kind::Duration { min_ms: 0, max_ms: 3_600_000 },
        "\"2s\"",
        "How long an EventSource waits before it reconnects.",
    ),
    key(
        "websocket.deflate.enabled",
        Kind::Flag,
        "false",
        "Whether messages are compressed for WebSockets that offer it (permessage-deflate, RFC 7692): once for all of a\nroom. It costs processor time and saves network. Read at start only, like the three below.",
    ),
    key(
        "websocket.deflate.level",
        Kind::Number { min: 1, max: 9 },
        "1",
        "From 1, which is fast, to 9, which is small.",
    ),
    key(
        "websocket.deflate.threshold",
        Kind::Size { min: 0, max: 256 << 10 },
        "256",
        "Shorter messages are sent as they are, in bytes, and so are those that do not become shorter.",
    ),
    key(
        "websocket.deflate.window_bits",
        Kind::Number { min: 9, max: 15 },
        "15",
        "How far back a message refers to itself, as a power of two: what a client needs to read it. Clients that\nask for less get 12 or 9.",
    ),
    key(
        "limits.connections",
        Kind::Number { min: 0, max: 100_000_000 },
        "0",
        "Connections of this node. 0: as many as the file descriptor limit allows.\nRead at start only.",
    ),
    key(
        "limits.connections_per_address",
        Kind::Number { min: 0, max: 1_000_000 },
        "0",
        "Connections of one client address (of a /64 in IPv6); more are answered with 429. 0: any number,\nbecause whole offices, and proxies that are not listed above, come from one address.",
    ),
    key(
        "limits.handshakes_per_second",
        Kind::Number { min: 0, max: 10_000_000 },
        "5000",
        "Connections that are taken in a second; more are answered with 503. 0: any number.",
    ),
    key(
        "limits.handshakes_burst",
        Kind::Number { min: 1, max: 10_000_000 },
        "20000",
        "Connections that are taken at once after a quiet time, as when another node has gone.",
    ),
    key(
        "limits.first_byte",
        Kind::Duration { min_ms: 100, max_ms: 600_000 },
        "\"10s\"",
        "From the connection to the first byte of a request; PROXY header and TLS handshake are through by then.",
    ),
    key(
        "limits.headers",
        Kind::Duration { min_ms: 100, max_ms: 600_000 },
        "\"15s\"",
        "For the whole head of a request, and for an idle connection to send the next one.",
    ),
    key(
        "limits.body",
        Kind::Duration { min_ms: 100, max_ms: 600_000 },
        "\"15s\"",
        "For the whole body of a request.",
    ),
    key(
        "limits.first_message",
        Kind::Duration { min_ms: 1_000, max_ms: 600_000 },
        "\"10s\"",
        "For a client of JSON mode that needs a token, and has not brought one, to send it. Closed with 4401.",
    ),
    key(
        "limits.target_bytes",
        Kind::Size { min: 256, max: 32 << 10 },
        "\"8KiB\"",
        "Longest path with query: room for about fifty room names. Longer ones are answered with 414.",
    ),
    key(
        "limits.header_bytes",
        Kind::Size { min: 1 << 10, max: 32 << 10 },
        "\"32KiB\"",
        "Longest headers of a request, names and values together. Longer ones are answered with 431.",
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
        "limits.connections_per_user",
        Kind::Number { min: 0, max: 1_000_000 },
        "100",
        "Connections that one user may have on this node. More are closed with 4429. 0: any number.",
    ),
    key(
        "limits.messages_per_second",
        Kind::Number { min: 0, max: 1_000_000 },
        "200",
        "Messages and commands that one WebSocket may send each second, twice as many at once after a rest.\nMore are answered with rate_limited, or closed with 4429 in raw mode. 0: any number.",
    ),
    key(
        "limits.bytes_per_second",
        Kind::Size { min: 0, max: 1 << 40 },
        "\"4MiB\"",
        "Bytes that one WebSocket may send each second, likewise. 0: any number.",
    ),
    key(
        "drain.window",
        Kind::Duration { min_ms: 0, max_ms: 3_600_000 },
        "\"20s\"",
        "After SIGTERM clients are asked to leave, evenly over this time.\nRead at start only.",
    ),
    key(
        "tracing.endpoint",
        Kind::Text,
        "\"\"",
        "Where traces of publications go: the URL of an OpenTelemetry collector, such as\n\"http://127.0.0.1:4318/v1/traces\" (OTLP over HTTP, protobuf). Empty: nothing is traced. Read at start only.",
    ),
    key(
        "tracing.service",
        Kind::Text,
        "\"roomcast\"",
        "What this service is called in traces. Read at start only.",
    ),
    key(
        "tracing.one_in",
        Kind::Number { min: 0, max: 1_000_000_000 },
        "1000",
        "One publication in so many is traced. 0: only those that come by HTTP with a sampled traceparent, which are\ntraced in any case. Read at start only.",
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
    key(
        "log.lines_per_second",
        Kind::Number { min: 0, max: 1_000_000 },
        "20",
        "Lines that one place in the code writes in a second. How many were left out is said. 0: any number.\nRead at start only.",
    ),
];

/// The table of options that holds for rooms without a namespace or with one that is not listed.
pub(crate) const DEFAULT_NAMESPACE: &str = "default";
