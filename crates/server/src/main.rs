//! The roomcast binary: configuration, wiring, shutdown, admin listener and command line.

mod admin;
mod app;
mod certificates;
mod cli;
mod config;
mod cores;
mod descriptors;
mod health;
mod jwks;
mod log;
mod shutdown;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
