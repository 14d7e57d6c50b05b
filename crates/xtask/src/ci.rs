//! `cargo xtask ci`: what a change has to pass.

use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::project_root;

use crate::{compose, cost, deny, fuzz, helm, install, loadtest, test};

/// Formatting, lints, documentation, dependencies, the chart, the compose file, what load tests stand on and what a delivery
/// costs first, because they fail fast; then the tests.
pub(crate) fn run() -> Result<()> {
    let clippy = ["clippy", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"];
    succeed(cargo(&["fmt", "--all", "--check"]))?;
    succeed(fuzz::stable_cargo(&["fmt", "--check"]))?;
    succeed(cargo(&[&["clippy", "--workspace"], &clippy[1..]].concat()))?;
    succeed(fuzz::stable_cargo(&clippy))?;
    let mut doc =
        cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"]);
    doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links");
    succeed(doc)?;
    deny::run_if_installed()?;
    install::programs()?;
    helm::run()?;
    compose::run()?;
    loadtest::check()?;
    cost::run()?;

    test::run(&[])
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(project_root());
    command
}

fn succeed(mut command: Command) -> Result<()> {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    let shown = format!("cargo {}", arguments.join(" "));
    eprintln!("{shown}");
    if !command.status().context("cannot run cargo")?.success() {
        bail!("{shown} failed");
    }
    Ok(())
}
