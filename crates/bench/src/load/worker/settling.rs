//! The phase in which what is still under way arrives, or does not.

use std::io;
use std::time::Duration;

use super::super::stamp::ns;
use super::super::words::News;
use super::{Phase, Worker, tell};

/// Nothing came for so long: what is missing is lost.
const QUIET: Duration = Duration::from_secs(3);

/// What is waited for.
#[derive(Debug)]
pub(super) struct Settling {
    /// By stream: how many messages were accepted.
    accepted: Vec<u64>,
    delivered: u64,
    /// When `delivered` was last more than before.
    changed_ns: Option<u64>,
}

impl Settling {
    pub(super) fn new(accepted: Vec<u64>) -> Self {
        Self { accepted, delivered: 0, changed_ns: None }
    }
}

impl Worker {
    /// Tells when all came, or when nothing more comes.
    pub(super) fn check_settled(&mut self, now: u64) -> io::Result<()> {
        let Phase::Settling(settling) = &mut self.phase else { return Ok(()) };
        let came = self.ears.counts.came();
        if settling.changed_ns.is_none() || came > settling.delivered {
            (settling.delivered, settling.changed_ns) = (came, Some(now));
        }
        let lost: u64 = self.clients.iter().map(|client| client.lost(&self.plan, &settling.accepted)).sum();
        let is_quiet = settling.changed_ns.is_some_and(|changed| now > changed + ns(QUIET));
        if lost > 0 && !is_quiet {
            return Ok(());
        }
        self.ears.counts.lost += lost;
        self.phase = Phase::Resting;
        self.tell_second()?;
        let (counts, failures) = (self.ears.counts.clone(), std::mem::take(&mut self.failures));
        tell(&News::Finished { counts, failures })
    }
}
