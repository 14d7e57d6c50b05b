//! `cargo xtask deny`: licences, sources, duplicates and known weaknesses of what we depend on, by cargo-deny and
//! `deny.toml`.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use xtask::project_root;

/// What needs nothing but the sources that cargo has anyway.
const OFFLINE: [&str; 3] = ["licenses", "bans", "sources"];

const INSTALL: &str = "install it with: cargo install cargo-deny --locked";

/// All checks. The last needs the RustSec database: it is fetched, or the copy at hand is used, or it is said that
/// there is none.
pub(crate) fn run() -> Result<()> {
    if !is_installed() {
        bail!("cargo-deny is not here; {INSTALL}");
    }
    check(&OFFLINE)?;
    if cargo_deny(&["fetch", "db"]).stderr(Stdio::null()).status()?.success() {
        return check(&["advisories", "--disable-fetch"]);
    }
    if check_advisories_at_hand()? {
        eprintln!("The RustSec database could not be fetched anew; the copy at hand was used.");
    } else {
        eprintln!(
            "NOT CHECKED: known weaknesses. There is no copy of the RustSec database here, and \
             https://github.com/RustSec/advisory-db cannot be reached; run `cargo xtask deny` where it can."
        );
    }
    Ok(())
}

/// For continuous integration: what is cheap, if the tool is there, and a line if it is not.
pub(crate) fn run_if_installed() -> Result<()> {
    if is_installed() {
        return check(&OFFLINE);
    }
    eprintln!(
        "NOT CHECKED: licences, sources and duplicates of dependencies. cargo-deny is not here; {INSTALL}"
    );
    Ok(())
}

fn is_installed() -> bool {
    let mut command = cargo_deny(&["--version"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Whether there was a copy to check with; an error if it knows of a weakness in what we use.
fn check_advisories_at_hand() -> Result<bool> {
    let output = cargo_deny(&["check", "advisories", "--disable-fetch"]).output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(true);
    }
    if text.contains("advisories FAILED")
        || String::from_utf8_lossy(&output.stdout).contains("advisories FAILED")
    {
        bail!("the RustSec database knows of weaknesses:\n{text}");
    }
    Ok(false)
}

fn check(arguments: &[&str]) -> Result<()> {
    eprintln!("cargo deny check {}", arguments.join(" "));
    let status = cargo_deny(&["check"]).args(arguments).status().context("cannot run cargo-deny")?;
    if !status.success() {
        bail!("cargo deny check {} failed", arguments.join(" "));
    }
    Ok(())
}

fn cargo_deny(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(["deny", "--locked"]).args(arguments).current_dir(project_root());
    command
}
