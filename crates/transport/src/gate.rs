//! What the acceptor and all cores share about who comes in and how.

use crate::refusal::Refusals;
use crate::tls::Tls;

/// The public port's door.
#[derive(Debug, Default)]
pub struct Gate {
    /// `None`: connections are plain.
    pub tls: Option<Tls>,
    /// Connections that were turned away.
    pub refusals: Refusals,
}
