//! `cargo xtask compose`: `docker-compose.yml`, read as `docker compose` reads it.

use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::go_tools::COMPOSE_GO;
use xtask::process::scratch_folder;
use xtask::project_root;

const FILE: &str = "docker-compose.yml";

/// Takes the file, and refuses one with a mistake in it, so that taking it says something.
pub(crate) fn run() -> Result<()> {
    let mut command = COMPOSE_GO.command()?;
    let output = command.current_dir(project_root()).arg(FILE).output().context("cannot start compose-go")?;
    if !output.status.success() {
        bail!("{FILE}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let folder = scratch_folder("compose")?;
    let mistaken = folder.join(FILE);
    let text = std::fs::read_to_string(project_root().join(FILE))?;
    std::fs::write(&mistaken, text.replacen("    ports:", "    portz:", 1))?;
    let mut command: Command = COMPOSE_GO.command()?;
    if command.current_dir(&*folder).arg(&mistaken).output()?.status.success() {
        bail!("compose-go takes a file with `portz:`, so that its word is worth nothing");
    }
    println!("{FILE} is good");
    Ok(())
}
