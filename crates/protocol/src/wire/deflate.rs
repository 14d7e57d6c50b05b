//! Compression of whole WebSocket messages (permessage-deflate, RFC 7692, section 7.2), without a memory of earlier
//! messages. So one compressed message serves every recipient, and a core needs one inflater, not one a connection.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::limits::{
    DEFLATED_EXCESS_BYTES, DEFLATED_EXCESS_DIVISOR, DEFLATED_MESSAGE_BYTES_MAX, DEFLATED_STREAMS_MAX,
};
use crate::wire::ws_frame;
use crate::wire::ws_reader::{NOT_UTF8, ReadError, TOO_LARGE};

/// How the operator wants messages to be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeflateSettings {
    /// From 1, which is fast, to 9, which is small.
    pub level: u8,
    /// Shorter messages are sent as they are; in bytes.
    pub threshold: usize,
    /// How far back a compressed message refers to itself, as a power of two: [`WINDOW_BITS_MIN`] to
    /// [`WINDOW_BITS_MAX`].
    pub window_bits: u8,
}

/// The smallest window that DEFLATE libraries compress with; with 8 zlib quietly takes 9.
pub const WINDOW_BITS_MIN: u8 = 9;

/// The largest window that DEFLATE has (RFC 1951, section 2).
pub const WINDOW_BITS_MAX: u8 = 15;

/// What clients with little memory ask for, Python's `websockets` by default among them.
const SMALL_WINDOW_BITS: u8 = 12;

/// With which window messages for a client are compressed. There are few, so that clients cannot make a node compress
/// every message for each of seven sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// As configured.
    Configured,
    /// 4 KiB, for clients that want less than that.
    Small,
    /// The smallest one, for those that want even less.
    Smallest,
}

impl Window {
    /// All of them, the largest first; the place of each is its number.
    pub const ALL: [Self; 3] = [Self::Configured, Self::Small, Self::Smallest];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its size, as a power of two.
    pub fn bits(self, settings: DeflateSettings) -> u8 {
        let configured = settings.window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
        match self {
            Self::Configured => configured,
            Self::Small => configured.min(SMALL_WINDOW_BITS),
            Self::Smallest => WINDOW_BITS_MIN,
        }
    }

    /// The largest of them that is no larger than this, if there is one.
    pub(crate) fn within(bits_max: u8, settings: DeflateSettings) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.bits(settings) <= bits_max)
    }
}

/// What a compressed message ends with, and what is left away of it (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// The same, and an empty last block behind it: a message that is whole ends the stream there, and nowhere else.
const TAIL_AND_END: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// Inflated at once, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// Compresses frames, one by one. It takes about 300 KiB from the first one on.
#[derive(Debug)]
pub struct Deflater {
    settings: DeflateSettings,
    window: Window,
    compress: Option<Compress>,
    /// Where compressed bytes are written first.
    scratch: Vec<u8>,
}

impl Deflater {
    /// One for this window.
    pub fn new(settings: DeflateSettings, window: Window) -> Self {
        Self { settings, window, compress: None, scratch: Vec::new() }
    }

    /// The frame of a text or binary message with its payload compressed; `None` if it is too short, too long, or does
    /// not become shorter.
    pub fn frame(&mut self, plain: &[u8]) -> Option<Bytes> {
        let payload = ws_frame::payload(plain);
        if payload.len() < self.settings.threshold || payload.len() > DEFLATED_MESSAGE_BYTES_MAX {
            return None;
        }
        let compressed = self.deflate(payload)?;
        Some(ws_frame::compressed(plain, compressed))
    }

    fn deflate(&mut self, payload: &[u8]) -> Option<&[u8]> {
        // Room for whatever becomes of it: zlib-rs 0.6 must not be reset while it holds back what did not fit, or it
        // runs out of place some messages later, and panics.
        let room = compressed_bytes_max(payload.len());
        if self.scratch.len() < room {
            self.scratch.resize(room, 0);
        }
        let compress = self.compress.get_or_insert_with(|| {
            let level = Compression::new(u32::from(self.settings.level));
            Compress::new_with_window_bits(level, false, self.window.bits(self.settings))
        });
        compress.reset();
        let scratch = &mut self.scratch[..room];
        let result = compress.compress(payload, scratch, FlushCompress::Sync);
        let (taken, written) = (compress.total_in() as usize, compress.total_out() as usize);
        if result.is_err() || taken < payload.len() || written >= room {
            self.compress = None;
            return None;
        }
        let compressed = scratch[..written].strip_suffix(&TAIL)?;
        (compressed.len() < payload.len()).then_some(compressed)
    }
}

/// Inflates messages, one by one. It takes about 64 KiB.
#[derive(Debug)]
pub struct Inflater {
    decompress: Decompress,
    chunk: Box<[u8]>,
}

const INVALID: ReadError = ReadError { code: 1007, reason: "compressed message is not valid DEFLATE" };

const TOO_MANY_STREAMS: ReadError =
    ReadError { code: 1009, reason: "compressed message has too many final blocks" };

/// How many compressed bytes a message may have that may have so many bytes itself.
pub(crate) fn compressed_bytes_max(message_bytes_max: usize) -> usize {
    let excess = message_bytes_max / DEFLATED_EXCESS_DIVISOR + DEFLATED_EXCESS_BYTES;
    message_bytes_max.saturating_add(excess)
}

impl Default for Inflater {
    fn default() -> Self {
        // The largest window takes what was compressed with a smaller one too.
        Self { decompress: Decompress::new(false), chunk: vec![0; CHUNK_BYTES].into() }
    }
}

impl Inflater {
    /// The message in the payload of compressed frames. It has `bytes_max` bytes at most; no more than one more is
    /// inflated to find out, and memory is taken for what has come out.
    pub fn message(&mut self, text: bool, payload: &[u8], bytes_max: usize) -> Result<Bytes, ReadError> {
        let message = self.inflate(payload, bytes_max)?;
        if text && std::str::from_utf8(&message).is_err() {
            return Err(NOT_UTF8);
        }
        Ok(message.into())
    }

    fn inflate(&mut self, payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, ReadError> {
        let mut message = Vec::new();
        // Compressors that leave away what was flushed already have nothing left of an empty message.
        if payload.is_empty() {
            return Ok(message);
        }
        self.decompress.reset(false);
        let mut streams = 0;
        let ended = self.feed(payload, bytes_max, &mut message, &mut streams)?;
        // Some end their stream with the payload, and forget the byte that the tail would complete.
        if ended || self.feed(&TAIL_AND_END, bytes_max, &mut message, &mut streams)? {
            return Ok(message);
        }
        Err(INVALID)
    }

    /// Inflates all of `input`; whether a stream has ended with it.
    fn feed(
        &mut self,
        mut input: &[u8],
        bytes_max: usize,
        message: &mut Vec<u8>,
        streams: &mut u32,
    ) -> Result<bool, ReadError> {
        loop {
            let room = self.chunk.len().min(bytes_max + 1 - message.len());
            let before = (self.decompress.total_in(), self.decompress.total_out());
            let chunk = &mut self.chunk[..room];
            let status = self.decompress.decompress(input, chunk, FlushDecompress::None);
            let taken = (self.decompress.total_in() - before.0) as usize;
            let made = (self.decompress.total_out() - before.1) as usize;
            input = &input[taken..];
            message.extend_from_slice(&chunk[..made]);
            if message.len() > bytes_max {
                return Err(TOO_LARGE);
            }
            if status.map_err(|_| INVALID)? == Status::StreamEnd {
                // What follows a last block is another stream.
                self.decompress.reset(false);
                *streams += 1;
                if *streams > DEFLATED_STREAMS_MAX {
                    return Err(TOO_MANY_STREAMS);
                }
                if input.is_empty() {
                    return Ok(true);
                }
            } else if input.is_empty() && made < room {
                return Ok(false);
            } else if taken == 0 && made == 0 {
                return Err(INVALID);
            }
        }
    }
}

#[cfg(test)]
#[path = "deflate_tests.rs"]
mod tests;
