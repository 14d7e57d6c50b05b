//! Readers of what a server sends: bytes in, as they come and split anywhere, and what they mean out.
//!
//! Made for speed: what lies whole in the bytes that came is not copied; only the rest of a read is kept until the next.

mod http;
mod poll;
mod resp;
mod sse;
mod ws;

pub use http::{Answer, Answers};
pub use poll::PollScanner;
pub use resp::RespScanner;
pub use sse::SseScanner;
pub use ws::WsScanner;

/// What a client heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard<'a> {
    /// It is a member of its room from here on.
    Open,
    /// The server refused with this status.
    Refused(u16),
    /// What may hold messages: a data frame, an event, the answer to a poll.
    Data(&'a [u8]),
    /// A WebSocket ping.
    Ping(&'a [u8]),
    /// A close frame, and its code.
    Close(Option<u16>),
    /// The server says that something is missing.
    Told,
    /// The answer to a poll has been read; the next one should begin at this cursor.
    Polled(Option<&'a str>),
    /// A publish of JSON mode was answered: with `ok`, or with an error.
    Answered(bool),
}

/// The bytes are not what the wire allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken(pub &'static str);

/// The longest frame, event or answer; a server that sends more is broken.
const PIECE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A reader of one connection.
#[derive(Debug)]
pub enum Scanner {
    /// WebSocket.
    Ws(WsScanner),
    /// Server-Sent Events.
    Sse(SseScanner),
    /// Long-poll.
    Poll(PollScanner),
}

impl Scanner {
    /// Takes all of `input`.
    pub fn feed(&mut self, input: &[u8], on: &mut impl FnMut(Heard<'_>)) -> Result<(), Broken> {
        match self {
            Self::Ws(scanner) => scanner.feed(input, on),
            Self::Sse(scanner) => scanner.feed(input, on),
            Self::Poll(scanner) => scanner.feed(input, on),
        }
    }
}

/// The rest of a read that is not whole yet.
#[derive(Debug, Default)]
struct Carry {
    bytes: Vec<u8>,
}

impl Carry {
    /// Calls `take` with everything there is; it gives how many bytes were whole. The others are kept.
    fn feed(
        &mut self,
        input: &[u8],
        take: impl FnOnce(&[u8]) -> Result<usize, Broken>,
    ) -> Result<(), Broken> {
        if self.bytes.is_empty() {
            let taken = take(input)?;
            if taken < input.len() {
                self.bytes.extend_from_slice(&input[taken..]);
            }
        } else {
            self.bytes.extend_from_slice(input);
            let taken = take(&self.bytes)?;
            self.bytes.drain(..taken);
        }
        if self.bytes.is_empty() {
            // Idle connections hold no memory.
            self.bytes = Vec::new();
        }
        if self.bytes.len() > PIECE_BYTES_MAX {
            return Err(Broken("a frame, an event or an answer is longer than 8 MiB"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
