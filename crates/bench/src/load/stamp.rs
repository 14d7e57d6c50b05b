//! What stands in each payload: which run, which stream, the how manieth of it, and when it should have been sent.
//!
//! The payload is JSON, `{"bench":"RRRRRRRR-SSSSSSSS-NNNNNNNNNNNNNNNN-TTTTTTTTTTTTTTTT","pad":"xx…"}` in hexadecimal digits, so
//! that it reaches clients unchanged on every wire and can be found there without parsing.

use std::time::Duration;

use memchr::memmem;
use rustix::time::{ClockId, clock_gettime};

/// What a payload begins with.
const MARK: &[u8] = b"{\"bench\":\"";
/// Digits of run, stream, number and time.
const DIGITS: [usize; 4] = [8, 8, 16, 16];
/// All digits and what is between them.
const STAMP_BYTES: usize = DIGITS[0] + DIGITS[1] + DIGITS[2] + DIGITS[3] + 3;
const PAD: &[u8] = b"\",\"pad\":\"";

/// The smallest payload.
pub const PAYLOAD_BYTES_MIN: usize = MARK.len() + STAMP_BYTES + PAD.len() + 2;

/// A stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which run.
    pub run: u32,
    /// Which stream.
    pub stream: u32,
    /// From 0, contiguous within a stream.
    pub number: u64,
    /// When it should have been sent, by [`now_ns`]. Not when it was: a sender that is late, because the server holds it
    /// up, must not make the latency look better.
    pub due_ns: u64,
}

impl Stamp {
    /// Appends a payload of `bytes` bytes, or of [`PAYLOAD_BYTES_MIN`].
    pub fn write(&self, bytes: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(MARK);
        let fields = [u64::from(self.run), u64::from(self.stream), self.number, self.due_ns];
        for (i, (field, digits)) in fields.into_iter().zip(DIGITS).enumerate() {
            if i > 0 {
                out.push(b'-');
            }
            for digit in (0..digits).rev() {
                out.push(b"0123456789abcdef"[(field >> (4 * digit)) as usize & 15]);
            }
        }
        out.extend_from_slice(PAD);
        out.resize(out.len() + bytes.saturating_sub(PAYLOAD_BYTES_MIN), b'x');
        out.extend_from_slice(b"\"}");
    }

    /// The stamp that `text` begins with.
    fn read(text: &[u8]) -> Option<Self> {
        let fields = text.strip_prefix(MARK)?.get(..STAMP_BYTES)?;
        let (mut at, mut values) = (0, [0; 4]);
        for (i, (value, digits)) in values.iter_mut().zip(DIGITS).enumerate() {
            if i > 0 {
                if fields[at] != b'-' {
                    return None;
                }
                at += 1;
            }
            for byte in &fields[at..at + digits] {
                *value = *value << 4 | u64::from((*byte as char).to_digit(16)?);
            }
            at += digits;
        }
        let [run, stream, number, due_ns] = values;
        Some(Self { run: run as u32, stream: stream as u32, number, due_ns })
    }
}

/// Finds stamps in whatever a wire puts around them.
#[derive(Debug)]
pub struct Finder {
    mark: memmem::Finder<'static>,
}

impl Default for Finder {
    fn default() -> Self {
        Self { mark: memmem::Finder::new(MARK) }
    }
}

impl Finder {
    /// All stamps in a text, in order.
    pub fn stamps(&self, text: &[u8]) -> impl Iterator<Item = Stamp> {
        let mut rest = text;
        std::iter::from_fn(move || {
            loop {
                rest = &rest[self.next_mark(rest)?..];
                let stamp = Stamp::read(rest);
                rest = &rest[MARK.len()..];
                if stamp.is_some() {
                    return stamp;
                }
            }
        })
    }

    /// Raw frames begin with the mark.
    fn next_mark(&self, text: &[u8]) -> Option<usize> {
        if text.starts_with(MARK) { Some(0) } else { self.mark.find(text) }
    }
}

/// Nanoseconds of the machine's monotonic clock, the same in all its processes.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds of a duration; more than 500 years are cut.
pub fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { run: 0xdead_beef, stream: 12, number: 1 << 40, due_ns: u64::MAX };

    fn payload(bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        STAMP.write(bytes, &mut out);
        out
    }

    #[test]
    fn sizes_and_json() {
        assert_eq!(payload(0).len(), PAYLOAD_BYTES_MIN);
        for bytes in [PAYLOAD_BYTES_MIN, 128, 1024] {
            assert_eq!(payload(bytes).len(), bytes);
            let json: serde_json::Value = serde_json::from_slice(&payload(bytes)).unwrap();
            assert_eq!(json["bench"], "deadbeef-0000000c-0000010000000000-ffffffffffffffff");
        }
    }

    #[test]
    fn found_wherever_it_stands() {
        let finder = Finder::default();
        let found = |text: &[u8]| finder.stamps(text).collect::<Vec<_>>();
        assert_eq!(found(&payload(128)), [STAMP]);
        let list = [b"[{\"data\":", &payload(80)[..], b"},", &payload(100), b"]"].concat();
        assert_eq!(found(&list), [STAMP, STAMP]);
        assert_eq!(found(&payload(128)[..40]), []);
        assert_eq!(found(b"{\"bench\":\"zzzzzzzz-0000000c-0000010000000000-ffffffffffffffff\"}"), []);
        assert_eq!(found(b""), []);
    }
}
