//! Clients that others wrote against three nodes, a real Redis and real load balancers: npm `ws`,
//! `eventsource` and `ioredis`, Python `websockets`, Chromium, `curl` and `redis-cli`.
//!
//! The programs are in `tests/foreign`; its README has the line protocol in which they are told what
//! to do and tell what they see.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod balancers;
mod cluster;
mod compression;
mod content;
mod curl;
mod dead_node;
mod echo;
mod fan_out;
mod http2;
mod limits;
mod program;
mod proxies;
mod resume;
mod sockets;
mod streams;
mod tls;
mod tutorials;
