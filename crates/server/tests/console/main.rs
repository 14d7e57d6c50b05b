//! The console and the operators' page, in real browsers and by their headers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod files;
mod operators;
mod public;

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// What browsers send.
const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
