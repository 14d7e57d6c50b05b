//! Attacks on the running binary. In every case good clients are in a room before and during the attack, and
//!
//! * their deliveries stay as fast as before ([`scene`] says how that is compared on a busy machine), and nothing
//!   is lost for them;
//! * the node's memory and descriptors come back;
//! * the guilty client gets the documented answer: the table in `docs/security.md`, section "Hostile clients".

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compression;
mod crowd;
#[path = "../peer/deflate.rs"]
mod deflate;
mod door;
mod frames;
mod h2;
mod http2;
mod publishing;
mod scene;
mod silence;
mod smuggling;
mod tls;
mod wire;
