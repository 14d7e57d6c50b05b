//! Sockets to commands, queued bytes to sockets.
//!
//! One [`Acceptor`] hands each new connection to the least loaded core, where [`serve`] keeps it for
//! life: HTTP/1.1 or HTTP/2 by its first bytes, then a request ([`router`]), an SSE stream ([`sse`])
//! or a WebSocket ([`ws`]). Rooms, brokers and what a client may do are the session's business.

mod acceptor;
mod addresses;
mod body;
mod certificates;
mod client;
mod connect;
mod connection;
mod credentials;
mod downstream;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod handshake;
mod held;
mod history;
mod http1;
mod http2_pace;
mod limits;
mod origin;
mod page;
mod placement;
mod poll;
mod problem;
mod proxy_protocol;
mod publish;
mod query;
mod refusal;
mod router;
mod socket;
mod sse;
mod tls;
mod writer;
mod ws;

pub use acceptor::{Accepted, Acceptor, BindError, CoreQueue, Load, core_queue, placement};
pub use connection::{HttpSettings, LocalExecutor, serve};
pub use gate::{Gate, GateSettings};
pub use limits::BACKLOG;
pub use page::{Console, Page, PageFile};
pub use placement::{Placement, PlacementPolicy};
pub use problem::Problem;
pub use refusal::{Refusals, Refused};
pub use tls::{CertificateFiles, Tls, TlsError, TlsFiles};
