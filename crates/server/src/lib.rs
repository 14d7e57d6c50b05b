//! What the roomcast binary does: configuration, wiring, shutdown, admin listener and command line.
//!
//! A library so that the fuzz targets reach the configuration; nobody else imports it.

mod admin;
mod app;
mod batch;
mod certificates;
mod cli;
mod config;
mod console;
mod cores;
mod descriptors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod jwks;
mod log;
mod otlp;
mod outbound;
mod share;
mod shutdown;
mod vital;

pub use cli::run;
