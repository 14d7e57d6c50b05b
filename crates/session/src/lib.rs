//! One client's conversation: what it may do, what it asked for, and what it is told.
//!
//! [`rules`] decide, as pure functions of the settings and the command; [`Session`] carries the
//! decisions out against the hub and the broker. Nothing here knows whether the bytes travel over a
//! WebSocket, an SSE stream or HTTP.

pub mod auth;
mod commands;
mod core;
mod drain;
mod heartbeat;
mod inspect;
mod presence;
mod publish;
mod query;
mod rate_limit;
mod refusal;
mod resume;
mod rules;
mod session;
mod settings;
mod sign_in;
mod token_bucket;
mod trace;
mod users;

pub use crate::core::{Core, CoreShared};
pub use commands::End;
pub use drain::drain;
pub use inspect::ConnectionReport;
pub use rate_limit::Rates;
pub use refusal::Refusal;
pub use roomcast_hub::trace::Tracer;
pub use session::Session;
pub use settings::{MaxAge, Namespace, Namespaces, PublishRule, Settings, SubscribeRule};

pub use token_bucket::{Rate, TokenBucket};
pub use users::UserConnections;

/// What transports count of those who come.
pub use roomcast_hub::stats::{Connect, Endpoint};
/// What transports write from, and what compresses it; made by the hub.
pub use roomcast_hub::{Compression, Entry, Outbox, Sink};
