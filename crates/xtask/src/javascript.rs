//! The JavaScript client, built for the tests: its own tools installed by its lock file, then `npm run build`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use crate::balancer::project_root;
use crate::foreign::install_npm;
use crate::python::output;

/// Where the package is, below the project's root.
const FOLDER: &str = "clients/javascript";
/// What it is built from.
const SOURCES: [&str; 2] = ["src", "tsconfig.json"];

/// Makes the package ready, once a process; other processes wait meanwhile. Gives its folder, where `dist` is built.
pub fn prepare() -> Result<&'static Path> {
    static FOLDER: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| prepare_alone().map_err(|error| format!("{error:#}")));
    folder.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// Runs a script of its `package.json`; gives what it prints.
pub fn run(script: &str) -> Result<String> {
    let mut npm = Command::new("npm");
    npm.current_dir(prepare()?).args(["run", "--silent", script]);
    output(&mut npm, &format!("see `npm run {script}` in {FOLDER}"))
}

fn prepare_alone() -> Result<PathBuf> {
    let root = project_root();
    std::fs::create_dir_all(root.join("target"))?;
    let lock = File::create(root.join("target/javascript.lock"))?;
    // Released when the file is closed, also where this process dies.
    flock(&lock, FlockOperation::LockExclusive).context("cannot lock target/javascript.lock")?;
    let folder = root.join(FOLDER);
    install_npm(&folder)?;
    build(&folder)?;
    Ok(folder)
}

/// Only what has changed is built: others may be reading.
fn build(folder: &Path) -> Result<()> {
    let mut sources = Vec::new();
    for source in SOURCES {
        read_all(&folder.join(source), &mut sources)?;
    }
    let stamp = folder.join("dist/.built-from");
    if std::fs::read(&stamp).is_ok_and(|built| built == sources) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.current_dir(folder).args(["run", "--silent", "build"]);
    output(&mut npm, "the sources in clients/javascript/src do not compile")?;
    std::fs::write(&stamp, sources).context("cannot write to clients/javascript/dist")
}

/// Appends names and contents, in the order of the names.
fn read_all(path: &Path, all: &mut Vec<u8>) -> Result<()> {
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path)?.collect::<std::io::Result<_>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        return entries.iter().try_for_each(|entry| read_all(&entry.path(), all));
    }
    all.extend(path.as_os_str().as_encoded_bytes());
    all.extend(std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    Ok(())
}
