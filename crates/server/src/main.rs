//! The roomcast binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    roomcast::run()
}
