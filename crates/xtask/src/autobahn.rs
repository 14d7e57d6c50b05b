//! `cargo xtask autobahn`: what of the Autobahn test suite takes too long for every day.

use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::project_root;

/// The cases of categories 12 and 13, each with its thousand messages. Optimised, or it would take hours.
pub(crate) fn run() -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--release", "--package", "roomcast", "--test", "autobahn", "--", "--ignored"]);
    if !command.current_dir(project_root()).status().context("cannot run cargo")?.success() {
        bail!("cases about compression fail");
    }
    Ok(())
}
