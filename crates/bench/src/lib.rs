//! Clients over plain sockets, for end-to-end tests, and the load generator behind `roomcast bench`.
//!
//! They share no code with the server, so that a mistake cannot hide on both sides, and the clients can
//! send what no well-behaved one would.

pub mod checker;
pub mod http;
pub mod load;
pub mod sse;
pub mod ws;

pub use http::{Response, request};
pub use sse::{Event, SseClient};
pub use ws::{Frame, WsClient};

use std::time::Duration;

/// How long a client waits for something that must come. Generous: it only bounds a failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long a client waits for what it was promised while the server sends nothing but pings, which are signs of life.
pub const PINGS_ONLY_MAX: Duration = Duration::from_secs(120);
