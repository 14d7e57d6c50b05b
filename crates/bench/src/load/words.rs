//! What conductor and workers say to each other: lines of JSON over the workers' standard input and output.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::latency::Samples;
use super::plan::Plan;
use super::tally::Counts;

/// From the conductor. The end of the input ends the worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Order {
    /// First: what to do, and which of the workers this is.
    Plan {
        /// The run.
        plan: Box<Plan>,
        /// Its number.
        worker: usize,
    },
    /// Connect all clients; answered by [`News::Connected`].
    Connect,
    /// Publish from this time on; answered by [`News::Published`].
    Publish {
        /// Of the monotonic clock.
        begin_ns: u64,
        /// When publishing ends.
        end_ns: u64,
    },
    /// How many messages of each stream were accepted in all. Answered by [`News::Finished`] when all of them came, or
    /// when nothing more comes.
    Accepted(Vec<u64>),
    /// Close all clients; answered by [`News::Closed`].
    Close,
}

/// From a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum News {
    /// All connections are open, or came to nothing.
    Connected {
        /// Open clients.
        open: usize,
        /// From the begin of a connection until it was a member.
        times: Samples,
        /// Why some came to nothing.
        failures: BTreeMap<String, u64>,
    },
    /// Once a second.
    Second(Second),
    /// Everything is published, and answered or given up.
    Published {
        /// By stream, those that this worker publishes.
        accepted: Vec<(usize, u64)>,
        /// Publications that were refused.
        refused: u64,
        /// Publications without an answer.
        in_doubt: u64,
    },
    /// All that came.
    Finished {
        /// Sums over its clients.
        counts: Counts,
        /// Why connections ended.
        failures: BTreeMap<String, u64>,
    },
    /// All clients are closed.
    Closed,
    /// It cannot go on.
    Failed(String),
}

/// What happened since the last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Second {
    /// Open clients now.
    pub(super) open: usize,
    /// Messages sent.
    pub(super) published: u64,
    /// Messages that came.
    pub(super) delivered: u64,
    /// From when each should have been sent until it came.
    pub(super) latency: Samples,
    /// From when each should have been sent until it was written.
    pub(super) lag: Samples,
}

/// The longest line: what a worker of 18,000 rooms reports.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes that come in pieces, as lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    /// Adds a piece; gives an error if a line is too long.
    pub(super) fn push(&mut self, piece: &[u8]) -> std::io::Result<()> {
        self.bytes.extend_from_slice(piece);
        if self.bytes.len() > LINE_BYTES_MAX {
            return Err(std::io::Error::other("a line is longer than 16 MiB"));
        }
        Ok(())
    }

    /// The next whole line.
    pub(super) fn next<T: for<'a> Deserialize<'a>>(&mut self) -> std::io::Result<Option<T>> {
        let Some(end) = memchr::memchr(b'\n', &self.bytes) else { return Ok(None) };
        let word = serde_json::from_slice(&self.bytes[..end])?;
        self.bytes.drain(..=end);
        Ok(Some(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_pieces() {
        let mut lines = Lines::default();
        lines.push(b"{\"Accepted\":[1,2]}\n\"Conn").unwrap();
        assert!(matches!(lines.next().unwrap(), Some(Order::Accepted(counts)) if counts == [1, 2]));
        assert!(lines.next::<Order>().unwrap().is_none());
        lines.push(b"ect\"\nnonsense\n").unwrap();
        assert!(matches!(lines.next().unwrap(), Some(Order::Connect)));
        assert!(lines.next::<Order>().is_err());
        assert!(Lines::default().push(&vec![b'x'; LINE_BYTES_MAX + 1]).is_err());
    }
}
