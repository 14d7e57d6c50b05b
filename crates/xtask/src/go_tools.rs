//! Programs written in Go that check what operators use: built once from pinned versions into
//! `target/tools`, and again where their version, or the folder that they are built from, has changed.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};

use crate::balancer::project_root;
use crate::process::kill_with_descendants;

/// Where the programs are, below the project's root.
const FOLDER: &str = "target/tools";
/// How long one program may take to fetch and to build. The largest takes five minutes on two busy cores.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Go 1.x that the programs are written in.
const GO_MINOR_MIN: u32 = 26;
/// Go 1.x from which on it fetches a newer one of itself where a program asks for that.
const GO_MINOR_SWITCHING: u32 = 21;

/// A program and what it is built from.
#[derive(Debug, Clone, Copy)]
pub struct GoTool {
    name: &'static str,
    source: Source,
}

/// What a program is built from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// A package at a version of its module, as `go install` takes them.
    Published { package: &'static str, version: &'static str },
    /// A package in terms of a folder's own `go.mod`: a program of ours, or a module that cannot be installed from
    /// outside because it has `replace` lines.
    Folder { folder: &'static str, package: &'static str },
}

const fn published(name: &'static str, package: &'static str, version: &'static str) -> GoTool {
    GoTool { name, source: Source::Published { package, version } }
}

const fn folder(name: &'static str, folder: &'static str, package: &'static str) -> GoTool {
    GoTool { name, source: Source::Folder { folder, package } }
}

/// Renders, lints and packages charts.
pub const HELM: GoTool = published("helm", "helm.sh/helm/v4/cmd/helm", "v4.3.1");
/// Runs `tests/*_test.yaml` of a chart.
pub const HELM_UNITTEST: GoTool = folder(
    "helm-unittest",
    "crates/xtask/go/helm-unittest",
    "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
);
/// Reads rendered manifests as the API server, the Prometheus Operator and Pod Security do.
pub const MANIFESTS: GoTool = folder("manifests", "crates/xtask/go/manifests", ".");
/// Judges what manifests ask for, not only whether they are well-formed.
pub const KUBE_SCORE: GoTool =
    published("kube-score", "github.com/zegl/kube-score/cmd/kube-score", "v1.20.0");
/// Reads compose files as `docker compose` does.
pub const COMPOSE_GO: GoTool =
    published("compose-go", "github.com/compose-spec/compose-go/v2/cmd", "v2.16.2");
/// Load tests: k6 with an EventSource of our own.
pub const K6: GoTool = folder("k6", "loadtest/extension", ".");
/// A proxy that delays, cuts and limits connections when told to.
pub const TOXIPROXY: GoTool =
    published("toxiproxy-server", "github.com/Shopify/toxiproxy/v2/cmd/server", "v2.12.0");

/// All of them.
pub const ALL: [GoTool; 7] = [HELM, HELM_UNITTEST, MANIFESTS, KUBE_SCORE, COMPOSE_GO, K6, TOXIPROXY];

impl GoTool {
    /// What the program is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The program, ready to be given arguments; built before where that is due.
    pub fn command(&self) -> Result<Command> {
        Ok(Command::new(self.path()?))
    }

    /// Where the program is; built before where that is due, while other processes wait.
    pub fn path(&self) -> Result<PathBuf> {
        let root = project_root();
        let tools = root.join(FOLDER);
        let program = tools.join(self.name);
        let stamp = tools.join(format!(".{}.built-from", self.name));
        let wanted = self.fingerprint(&root)?;
        if is_current(&program, &stamp, &wanted) {
            return Ok(program);
        }
        std::fs::create_dir_all(&tools)?;
        let lock = File::create(tools.join(".lock"))?;
        // Released when the file is closed, also where this process dies.
        flock(&lock, FlockOperation::LockExclusive).context("cannot lock target/tools/.lock")?;
        if !is_current(&program, &stamp, &wanted) {
            self.build(&root, &tools).with_context(|| format!("cannot build {}", self.name))?;
            std::fs::write(&stamp, wanted)?;
        }
        Ok(program)
    }

    /// Everything that the program is built from.
    fn fingerprint(&self, root: &Path) -> Result<Vec<u8>> {
        match self.source {
            Source::Published { package, version } => Ok(format!("{package}@{version}").into_bytes()),
            Source::Folder { folder, package } => {
                let mut all = package.as_bytes().to_vec();
                add_files(&root.join(folder), &mut all)?;
                Ok(all)
            }
        }
    }

    /// Builds into a folder beside the program and puts it in its place when it is whole.
    fn build(&self, root: &Path, tools: &Path) -> Result<()> {
        check_go()?;
        eprintln!("building {} into {FOLDER}", self.name);
        let built = tools.join(format!(".{}.new", self.name));
        remove(&built)?;
        std::fs::create_dir_all(&built)?;
        let mut go = Command::new("go");
        match self.source {
            Source::Published { package, version } => {
                // Not in the project's folder, whose go.mod files are none of its business.
                go.current_dir(&built).args(["install", "-ldflags=-s -w"]);
                go.arg(format!("{package}@{version}"));
            }
            Source::Folder { folder, package } => {
                go.current_dir(root.join(folder)).args(["install", "-ldflags=-s -w", package]);
            }
        }
        // GOFLAGS of whoever runs this could change what is built; no C compiler is needed.
        go.env("GOBIN", &built).env("GOFLAGS", "-trimpath -buildvcs=false").env("GOWORK", "off");
        go.env("CGO_ENABLED", "0");
        run_bounded(go, &tools.join(format!(".{}.log", self.name)))?;
        let mut programs = std::fs::read_dir(&built)?;
        let program = programs.next().context("go install has built nothing")??;
        std::fs::rename(program.path(), tools.join(self.name))?;
        remove(&built)
    }
}

/// Runs `command` for [`BUILD_LIMIT`] at most; a failure comes with what it said.
fn run_bounded(mut command: Command, log: &Path) -> Result<()> {
    let output = File::create(log)?;
    command.stdout(output.try_clone()?).stderr(output);
    let mut child = command.spawn().context("cannot start go")?;
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begin.elapsed() > BUILD_LIMIT {
            kill_with_descendants(child.id());
            child.wait()?;
            bail!("go took longer than {BUILD_LIMIT:?}: {}", std::fs::read_to_string(log)?);
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if !status.success() {
        bail!(
            "go: {status}; is the Go module proxy within reach (go env GOPROXY)?\n{}",
            std::fs::read_to_string(log)?
        );
    }
    Ok(())
}

/// That there is a Go which can build the programs.
fn check_go() -> Result<()> {
    let install = format!(
        "install Go 1.{GO_MINOR_MIN} or later from https://go.dev/dl; Go 1.{GO_MINOR_SWITCHING} or later, such as that of \
         Debian 13 (golang-go), does if GOTOOLCHAIN is auto; that of Debian 12 is too old"
    );
    let version = match Command::new("go").args(["env", "GOVERSION", "GOTOOLCHAIN"]).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("go: not found; {install}"),
        result => String::from_utf8_lossy(&result.context("cannot start go")?.stdout).into_owned(),
    };
    let (version, switching) = version.trim().split_once('\n').unwrap_or((version.trim(), ""));
    if !is_go_new_enough(version, switching) {
        bail!("go is {version}, with GOTOOLCHAIN={switching}; {install}");
    }
    Ok(())
}

/// Whether Go of this `version` (`go1.26.8`) can build programs for Go 1.26, be it by fetching that.
fn is_go_new_enough(version: &str, switching: &str) -> bool {
    let minor =
        version.strip_prefix("go1.").and_then(|rest| rest.split(['.', 'r', ' ']).next()?.parse().ok());
    let switches = !switching.starts_with("local") && !switching.is_empty();
    minor.is_some_and(|minor: u32| minor >= GO_MINOR_MIN || (switches && minor >= GO_MINOR_SWITCHING))
}

fn is_current(program: &Path, stamp: &Path, wanted: &[u8]) -> bool {
    program.is_file() && std::fs::read(stamp).is_ok_and(|built_from| built_from == wanted)
}

/// Adds the names and contents of all files below `folder`, in one order.
fn add_files(folder: &Path, all: &mut Vec<u8>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add_files(&path, all)?;
            continue;
        }
        all.extend_from_slice(format!("\n{}\n", path.display()).as_bytes());
        all.extend(std::fs::read(&path)?);
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_go_is_told_apart() {
        for (version, switching, is_enough) in [
            ("go1.26.8", "local", true),
            ("go1.27rc1", "local", true),
            ("go1.24.4", "auto", true),
            ("go1.24.4", "local", false),
            ("go1.19.8", "", false),
            ("go1.19.8", "auto", false),
            ("devel", "auto", false),
        ] {
            assert_eq!(is_go_new_enough(version, switching), is_enough, "{version} {switching}");
        }
    }
}
