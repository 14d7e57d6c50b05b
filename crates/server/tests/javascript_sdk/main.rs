//! The JavaScript client in Node.js and in Chromium, while things break: what it hears and what it publishes goes through the
//! delivery checker. Nothing is lost or doubled, or it is told.
//!
//! The programs are `tests/foreign/sdk.mjs` and `sdk-chromium.mjs`; the package is built by `crates/xtask/src/javascript.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod breaking;
mod fall_back;
mod package;
mod relay;
mod scene;
mod sdk;
mod sleeping;
mod tabs;
mod tokens;
