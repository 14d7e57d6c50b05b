//! From SIGTERM to the end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the process understands.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// SIGTERM or SIGINT: end; the second time at once.
    End,
    /// SIGHUP: read the configuration again.
    Reload,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::End,
            _ = self.interrupt.recv() => Wish::End,
            _ = self.reload.recv() => Wish::Reload,
        }
    }

    /// The next wish to end; others are passed over.
    pub(crate) async fn end(&mut self) {
        while self.next().await != Wish::End {}
    }
}
