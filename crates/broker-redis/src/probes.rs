//! Whether what is published also arrives. A connection that answers pings can still be deaf, for
//! instance when commands go to the new primary and the link hangs on the old one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Probes {
    patience: Duration,
    /// The oldest probe that was published and has not come back. Touched once a second.
    awaited: Mutex<Option<(u64, Instant)>>,
    reconnects: AtomicU64,
}

impl Probes {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, awaited: Mutex::new(None), reconnects: AtomicU64::new(0) }
    }

    /// Redis has accepted a probe.
    pub(crate) fn sent(&self, token: u64) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.get_or_insert((token, Instant::now()));
    }

    /// A probe has come back; it answers for all earlier ones.
    pub(crate) fn returned(&self, token: u64) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if awaited.is_some_and(|(oldest, _)| oldest <= token) {
            *awaited = None;
        }
    }

    /// Whether a probe has been gone for too long.
    pub(crate) fn overdue(&self) -> bool {
        let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.is_some_and(|(_, since)| since.elapsed() > self.patience)
    }

    /// A new connection owes nothing for the old one.
    pub(crate) fn connection_lost(&self) {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }
}
