//! Bounds that belong to the protocol itself, each with its unit and its reason. What an operator
//! may want to change is in the configuration; what is here is part of the interface.

/// Longest room name, in bytes. Keeps a Redis channel name and a cursor entry small.
pub const ROOM_BYTES_MAX: usize = 200;

/// Longest event name, in bytes: it is a label, not a place for data.
pub const EVENT_BYTES_MAX: usize = 100;

/// Longest `ref` of a command as it is written in JSON, in bytes. It is echoed in the answer, so it
/// must not become a way to make the server repeat large texts.
pub const REF_BYTES_MAX: usize = 256;

/// Longest payload of a WebSocket control frame, in bytes (RFC 6455, section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// Most empty fragments of one message. Some libraries send one at the end; more carry nothing, and without a bound they
/// would make a message that never ends and is never too large.
pub const EMPTY_FRAGMENTS_MAX: u32 = 128;

/// Longest message that is compressed, in bytes. Beyond it one message would keep a core from all others for milliseconds.
pub const DEFLATED_MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// What the compressed bytes of a message may have more than the message itself may, as a divisor of that: fixed codes, with which
/// compressors write what does not shrink, make nine bits of eight.
pub const DEFLATED_EXCESS_DIVISOR: usize = 8;

/// And in bytes besides, for the heads of blocks (RFC 1951, section 3.2.3) of a short message in many fragments.
pub const DEFLATED_EXCESS_BYTES: usize = 1024;

/// Most DEFLATE streams in one message. A compressor that ends a stream begins one more (RFC 7692, section 7.2.3.4); each costs a
/// reset of the inflater.
pub const DEFLATED_STREAMS_MAX: u32 = 128;

/// Longest reason of a close frame, in bytes: a control payload less the two bytes of the code.
pub const CLOSE_REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// Longest cursor that is read, in bytes. A header of this size still passes common proxies.
pub const CURSOR_BYTES_MAX: usize = 8 * 1024;

/// Most rooms that one cursor speaks of.
pub const CURSOR_ROOMS_MAX: usize = 128;

/// What one message may add to its payload on any wire, in bytes: frame head, JSON keys, room,
/// event and user names. Used where a bound on payloads becomes a bound on queued bytes.
pub const ENVELOPE_BYTES_MAX: usize = 2 * 1024;
