//! The roomcast binary.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Gives memory back after a storm, and keeps small things of one size together. Its settings are in
/// `.cargo/config.toml`, because they are read before the first line of the program runs.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    roomcast::run()
}
