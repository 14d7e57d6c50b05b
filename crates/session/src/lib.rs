//! One client's conversation: what it may do, what it asked for, and what it is told.
//!
//! [`rules`] decide, as pure functions of the settings and the command; [`Session`] carries the
//! decisions out against the hub and the broker. Nothing here knows whether the bytes travel over a
//! WebSocket, an SSE stream or HTTP.

pub mod auth;
mod core;
mod drain;
mod heartbeat;
mod inspect;
mod presence;
mod publish;
mod query;
mod refusal;
mod resume;
mod rules;
mod session;
mod settings;

pub use crate::core::Core;
pub use drain::drain;
pub use inspect::ConnectionReport;
pub use refusal::Refusal;
pub use session::{End, Session};
pub use settings::{Namespace, Namespaces, PublishRule, Settings, SubscribeRule};

/// What transports write from; made by the hub.
pub use roomcast_hub::{Entry, Outbox};
