//! What the acceptor and all cores share about who comes in and how.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use roomcast_session::Rate;

use crate::addresses::{Addresses, Counted, TooMany};
use crate::client::is_trusted;
use crate::refusal::{Refusals, Refused};
use crate::tls::Tls;

/// What an operator decides about the door. Holds for whoever comes next.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// Connections of one address; 0 for any number.
    pub per_address_max: usize,
    /// Connections that are taken in a second, 0 for any number, and at once after a quiet time.
    pub handshakes: Rate,
    /// From accepting a connection to the first byte of a request: PROXY header and TLS handshake
    /// have to be through by then.
    pub first_byte: Duration,
    /// For the whole head of a request, and for an idle connection to send the next one. Over HTTP/2,
    /// for the first request of the connection.
    pub headers: Duration,
    /// For the whole body of a request.
    pub body: Duration,
    /// Longest path with query, in bytes.
    pub target_bytes: usize,
    /// Longest header fields of a request, names and values together, in bytes.
    pub header_bytes: usize,
    /// Who is believed about the client's address.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether every connection begins with a PROXY header.
    pub proxy_protocol: bool,
}

/// The public port's door.
#[derive(Debug, Default)]
pub struct Gate {
    /// `None`: connections are plain.
    pub tls: Option<Arc<Tls>>,
    /// Connections that were turned away.
    pub refusals: Refusals,
    addresses: Arc<Addresses>,
}

impl Gate {
    /// A door with or without TLS.
    pub fn new(tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..Self::default() }
    }

    /// Counts one more connection of an address, unless it has too many. Proxies are not counted: what
    /// comes from them is others'.
    pub(crate) fn enter(&self, address: IpAddr, settings: &GateSettings) -> Result<Option<Counted>, Refused> {
        if settings.per_address_max == 0 || is_trusted(address, &settings.trusted_proxies) {
            return Ok(None);
        }
        let counted = self.addresses.enter(address, settings.per_address_max);
        counted.map(Some).map_err(|TooMany| Refused::Address)
    }
}
