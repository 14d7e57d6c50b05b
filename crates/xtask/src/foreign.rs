//! Clients that others wrote, for the end-to-end tests: npm packages and a Python environment, made
//! ready where they are missing or older than what the project asks for.

use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::balancer::project_root;

/// Where the programs and their lists of packages are, below the project's root.
const FOLDER: &str = "crates/server/tests/foreign";
/// The Python environment.
const ENVIRONMENT: &str = "target/foreign-python";
/// The Python packages alone, where no environment can be made.
const PACKAGES: &str = "target/foreign-python-packages";
/// Oldest Node.js that the packages run on.
const NODE_MAJOR_MIN: u32 = 20;

/// How to run the clients.
#[derive(Debug)]
pub struct Clients {
    folder: PathBuf,
    python: PathBuf,
    /// `PYTHONPATH`, where the packages are not in the environment of `python`.
    packages: Option<PathBuf>,
}

impl Clients {
    /// Runs a script of the folder under Node.js.
    pub fn node(&self, script: &str) -> Command {
        let mut command = Command::new("node");
        command.current_dir(&self.folder).arg(script);
        command
    }

    /// Runs a script of the folder under Python.
    pub fn python(&self, script: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(&self.folder).arg(script);
        if let Some(packages) = &self.packages {
            command.env("PYTHONPATH", packages);
        }
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
    let (python, packages) = install_python(&root)?;
    Ok(Clients { folder, python, packages })
}

fn check_programs() -> Result<()> {
    let node = output(Command::new("node").arg("--version"), "install Node.js 20 or later (Debian: nodejs)")?;
    let major = node.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < NODE_MAJOR_MIN) {
        bail!("node is {}; install Node.js {NODE_MAJOR_MIN} or later", node.trim());
    }
    output(Command::new("npm").arg("--version"), "install npm (Debian: npm)")?;
    output(Command::new("python3").arg("--version"), "install Python 3.11 or later (Debian: python3)")?;
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

/// The Python to use, and where its packages are if they are not its own.
fn install_python(root: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
    let wanted = root.join(FOLDER).join("requirements.txt");
    let environment = root.join(ENVIRONMENT);
    let own = environment.join("bin/python");
    if own.exists() && is_current(&environment, &wanted) {
        return Ok((own, None));
    }
    let packages = root.join(PACKAGES);
    let system = PathBuf::from("python3");
    if is_current(&packages, &wanted) {
        return Ok((system, Some(packages)));
    }
    remove(&environment)?;
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&environment);
    // Debian has the part of venv that brings pip in a package of its own, which may be missing.
    let Err(no_venv) = output(&mut make, "install it (Debian: python3-venv)") else {
        pip(&own, &wanted, None)?;
        mark_current(&environment, &wanted)?;
        return Ok((own, None));
    };
    remove(&environment)?;
    remove(&packages)?;
    pip(&system, &wanted, Some(&packages)).with_context(|| {
        format!("neither venv nor pip works; install python3-venv or python3-pip\n{no_venv:#}")
    })?;
    mark_current(&packages, &wanted)?;
    Ok((system, Some(packages)))
}

fn pip(python: &Path, wanted: &Path, target: Option<&Path>) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(wanted);
    if let Some(target) = target {
        pip.arg("--target").arg(target);
    }
    output(&mut pip, "the packages of requirements.txt must be within reach: check pip's index and proxy")?;
    Ok(())
}

/// What a program prints; a failure comes with `hint` and with all that was said.
pub(crate) fn output(command: &mut Command, hint: &str) -> Result<String> {
    let shown = [command.get_program()].into_iter().chain(command.get_args()).collect::<Vec<_>>();
    let shown = shown.join(OsStr::new(" ")).to_string_lossy().into_owned();
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{shown}: not found; the tests with foreign clients need it: {hint}")
        }
        result => result.with_context(|| format!("cannot start {shown}"))?,
    };
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{shown}: {}; {hint}\n{}", output.status, String::from_utf8_lossy(&said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether `folder` was installed from `list` as it is now. The contents are compared, because a
/// checkout gives files any date.
fn is_current(folder: &Path, list: &Path) -> bool {
    let installed = std::fs::read(stamp(folder));
    installed.is_ok_and(|installed| std::fs::read(list).is_ok_and(|list| list == installed))
}

fn mark_current(folder: &Path, list: &Path) -> Result<()> {
    std::fs::copy(list, stamp(folder)).with_context(|| format!("cannot write to {}", folder.display()))?;
    Ok(())
}

/// A copy of the list that `folder` was installed from, written when all of it was there.
fn stamp(folder: &Path) -> PathBuf {
    folder.join(".installed-from")
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
