//! The load generator behind `roomcast bench`.
//!
//! It has to be cheap enough to share two cores with the server that it measures: each process is one epoll loop over
//! plain sockets, and reads without copying. Connections are spread over as many processes as descriptors ask for.
//!
//! ```text
//! conductor ──lines of JSON──▶ worker processes ──sockets──▶ nodes (or the floor)
//! ```
//!
//! The conductor ([`conductor`]) makes no load itself: it starts the workers ([`worker`]), tells them what to do next, reads
//! the server's CPU time and memory ([`process`]) and adds up what they saw. Everything that counts is a plain value:
//! payloads ([`stamp`]), the [`schedule`], what each connection got ([`tally`]), the readers of the wires ([`scan`]).

pub mod compare;
pub mod conductor;
pub mod floor;
pub mod html;
pub mod latency;
pub mod node;
pub mod plan;
pub mod process;
pub mod report;
pub mod scan;
pub mod schedule;
pub mod stamp;
pub mod tally;
pub mod text;
pub mod worker;

mod client;
mod crew;
mod publisher;
mod request;
mod socket;
mod words;

pub use conductor::{Servers, run};
pub use plan::{Mode, Plan, PublishBy, Redis, Target, Transport};
pub use report::Report;
