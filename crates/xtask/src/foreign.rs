//! Clients that others wrote, for the end-to-end tests: npm packages and a Python environment, made
//! ready where they are missing or older than what the project asks for.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::balancer::project_root;
use crate::python::{self, Packages, is_current, mark_current, output};

/// Where the programs and their lists of packages are, below the project's root.
const FOLDER: &str = "crates/server/tests/foreign";
/// The Python environment.
const ENVIRONMENT: &str = "target/foreign-python";
/// Oldest Node.js that the packages run on.
const NODE_MAJOR_MIN: u32 = 20;

/// How to run the clients.
#[derive(Debug)]
pub struct Clients {
    folder: PathBuf,
    python: Packages,
}

impl Clients {
    /// Runs a script of the folder under Node.js.
    pub fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command.current_dir(&self.folder).arg(script);
        command
    }

    /// Runs a program of any other folder, by what its name ends with, with the same packages.
    pub fn program(&self, file: &Path) -> Result<Command> {
        let mut command = match file.extension().and_then(OsStr::to_str) {
            Some("js") => Command::new("node"),
            Some("py") => self.python.python(),
            Some("sh") => Command::new("sh"),
            _ => bail!("{} is neither JavaScript nor Python nor a shell script", file.display()),
        };
        command.arg(file).env("NODE_PATH", self.folder.join("node_modules"));
        Ok(command)
    }

    /// Runs a script of the folder under Python.
    pub fn python(&self, script: &str) -> Command {
        let mut command = self.python.python();
        command.current_dir(&self.folder).arg(script);
        command
    }
}

/// Makes the clients ready, once a process; other processes wait meanwhile. Nothing is skipped: what
/// is missing is an error that says what to install.
pub fn prepare() -> Result<&'static Clients> {
    static CLIENTS: OnceLock<std::result::Result<Clients, String>> = OnceLock::new();
    let clients = CLIENTS.get_or_init(|| prepare_alone().map_err(|error| format!("{error:#}")));
    clients.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn prepare_alone() -> Result<Clients> {
    check_programs()?;
    let root = project_root();
    std::fs::create_dir_all(root.join("target"))?;
    let lock = File::create(root.join("target/foreign.lock"))?;
    // Released when the file is closed, also where this process dies.
    flock(&lock, FlockOperation::LockExclusive).context("cannot lock target/foreign.lock")?;
    let folder = root.join(FOLDER);
    install_npm(&folder)?;
    let python = python::install(&folder.join("requirements.txt"), &root.join(ENVIRONMENT))?;
    Ok(Clients { folder, python })
}

fn check_programs() -> Result<()> {
    let node = output(Command::new("node").arg("--version"), "install Node.js 20 or later (Debian: nodejs)")?;
    let major = node.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < NODE_MAJOR_MIN) {
        bail!("node is {}; install Node.js {NODE_MAJOR_MIN} or later", node.trim());
    }
    output(Command::new("npm").arg("--version"), "install npm (Debian: npm)")?;
    output(Command::new("redis-cli").arg("--version"), "install redis-cli (Debian: redis-tools)")?;
    output(Command::new("chromium").arg("--version"), "install Chromium (Debian: chromium)")?;
    let curl = output(Command::new("curl").arg("--version"), "install curl (Debian: curl)")?;
    if !curl.contains("HTTP2") {
        bail!("curl was built without HTTP/2; install one that has it (Debian: curl)");
    }
    Ok(())
}

pub(crate) fn install_npm(folder: &Path) -> Result<()> {
    let lock = folder.join("package-lock.json");
    let modules = folder.join("node_modules");
    if is_current(&modules, &lock) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    output(
        &mut npm,
        "the packages of package-lock.json must be within reach: check npm's registry and proxy",
    )?;
    mark_current(&modules, &lock)
}
