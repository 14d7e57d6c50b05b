//! Bounds of what a peer may send and how long it may take, each with its reason.

use std::time::Duration;

use roomcast_session::Rate;

/// What is still read of a body that is too large, in bytes, so that its sender gets to see the answer.
pub(crate) const EXCESS_BYTES_MAX: usize = 1024 * 1024;

/// For that; a sender that stalls gets its answer then.
pub(crate) const EXCESS_LIMIT: Duration = Duration::from_secs(3);

/// What is looked at of a connection's first bytes, to find the room that it asks for.
pub(crate) const FIRST_BYTES_MAX: usize = 1024;

/// Longest request head, in bytes; also what one connection may make the server buffer.
pub(crate) const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Most header fields of a request.
pub(crate) const HEADERS_MAX: usize = 100;

/// Most requests under way on one HTTP/2 connection: a page with a few streams needs ten, a
/// load balancer that multiplexes its clients needs many.
pub(crate) const HTTP2_STREAMS_MAX: u32 = 1000;

/// Small frames that one HTTP/2 connection may send: beyond what a proxy needs that multiplexes thousands of requests a
/// second, and little enough that they do not keep a core busy.
pub(crate) const HTTP2_FRAMES: Rate = Rate { per_second: 10_000, burst: 10_000 };

/// Small frames after which the other connections of the core have their turn.
pub(crate) const HTTP2_FRAMES_PER_TURN: u64 = 64;

/// Streams of one HTTP/2 connection that its client has reset before they were looked at (CVE-2023-44487). More end the
/// connection with ENHANCE_YOUR_CALM.
pub(crate) const HTTP2_RESETS_BY_PEER_MAX: usize = 20;

/// Streams of one HTTP/2 connection that the server had to reset, because of what its client did; likewise.
pub(crate) const HTTP2_RESETS_BY_US_MAX: usize = 100;

/// What one HTTP/2 stream may hold in its send buffer, in bytes; the rest waits in its outbox,
/// whose bound is the one that decides.
pub(crate) const HTTP2_SEND_BYTES_MAX: usize = 32 * 1024;

/// What one TLS connection may hold of encrypted bytes that the kernel does not take yet: two of
/// TLS's largest records (RFC 8446, section 5.1). The rest waits in outboxes.
pub(crate) const TLS_SEND_BYTES_MAX: usize = 32 * 1024;

/// Bytes read from a WebSocket or a listening client at once, into a buffer that a core's connections share.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// From the server's close frame to the peer's, and for whatever is still to be written.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// What is still read from a WebSocket after our close frame, in bytes, in search of the peer's: what a client
/// may have had on its way, besides the rest of a message. One that goes on sending is cut off.
pub(crate) const LATE_BYTES_MAX: usize = 1024 * 1024;

/// Connections that wait for a core to take them.
pub(crate) const ACCEPTED_MAX: usize = 1024;

/// Connections that wait in the kernel to be accepted.
pub const BACKLOG: i32 = 4096;

/// What a refused client is told to wait, in seconds.
pub(crate) const RETRY_AFTER_S: u32 = 1;

/// How long a poll waits that does not say. Below the idle limits of common proxies.
pub(crate) const POLL_WAIT_DEFAULT: Duration = Duration::from_secs(25);

/// How long a poll may wait at most.
pub(crate) const POLL_WAIT_MAX: Duration = Duration::from_secs(55);
