//! Sockets to commands, queued bytes to sockets.
//!
//! One [`Acceptor`] hands each new connection to the least loaded core, where [`serve`] keeps it for
//! life: HTTP/1.1 or HTTP/2 by its first bytes, then a request ([`router`]), an SSE stream ([`sse`])
//! or a WebSocket ([`ws`]). Rooms, brokers and what a client may do are the session's business.

mod acceptor;
mod body;
mod connection;
mod cors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod handshake;
mod history;
mod limits;
mod poll;
mod problem;
mod publish;
mod query;
mod router;
mod socket;
mod sse;
mod ws;

pub use acceptor::{Accepted, Acceptor, BindError, CoreQueue, Load, core_queue};
pub use connection::{HttpSettings, LocalExecutor, serve};
pub use problem::Problem;
