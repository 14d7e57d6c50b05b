//! `cargo xtask loadtest`: k6 with our extension, its tests, and the scripts of `loadtest/`.

mod dashboard;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xtask::go_tools::K6;
use xtask::{process, project_root};

/// All scripts, the quickest first.
const SCRIPTS: [&str; 9] = [
    "smoke",
    "connect-storm",
    "fanout",
    "chat",
    "publish-api",
    "slow-consumer",
    "sse-resume",
    "soak",
    "reconnect-wave",
];
/// How long one script may take, with its cluster; only bounds one that hangs. Each has a limit of its own within.
const SCRIPT_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Where the summaries of a run are, and where they are kept.
const RESULTS: &str = "target/loadtest";
const RECORDS: &str = "docs/loadtest";

/// Runs the scripts that are named, or everything there is; with `--check` only what they stand on.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    if arguments == ["--check"] {
        return check();
    }
    let record = arguments.contains(&"--record");
    let named: Vec<_> = arguments.iter().copied().filter(|argument| *argument != "--record").collect();
    if let Some(unknown) = named.iter().find(|name| !SCRIPTS.contains(name)) {
        bail!("there is no load test {unknown}; there are {}", SCRIPTS.join(", "));
    }
    let root = project_root();
    let k6 = K6.path()?;
    if named.is_empty() {
        check()?;
    }
    let scripts = if named.is_empty() { SCRIPTS.to_vec() } else { named };
    let mut failed = Vec::new();
    for script in scripts {
        let mut run = Command::new(root.join("loadtest/run.sh"));
        run.arg(script).env("K6", &k6).env("SUMMARY_DIR", root.join(RESULTS));
        if succeed(&mut run).is_err() {
            failed.push(script);
        } else if record {
            keep(&root, script)?;
        }
    }
    if !failed.is_empty() {
        bail!("{} failed; {RESULTS} has the summaries", failed.join(", "));
    }
    Ok(())
}

/// Checks what the scripts stand on: the extension, the ledger, and what k6 writes for the dashboard.
pub(crate) fn check() -> Result<()> {
    let (root, k6) = (project_root(), K6.path()?);
    test_extension(&root)?;
    test_ledger(&root, &k6)?;
    dashboard::check(&k6)
}

/// Formatting, lints and tests of what is written in Go.
fn test_extension(root: &Path) -> Result<()> {
    let folder = root.join("loadtest/extension");
    let unformatted = Command::new("gofmt").args(["-l", "."]).current_dir(&folder).output()?;
    if !unformatted.status.success() || !unformatted.stdout.is_empty() {
        bail!("run gofmt -w in loadtest/extension: {}", String::from_utf8_lossy(&unformatted.stdout));
    }
    succeed(Command::new("go").args(["vet", "./..."]).current_dir(&folder))?;
    succeed(Command::new("go").args(["test", "./..."]).current_dir(&folder))
}

/// That the ledger finds what was planted, and that k6 fails where a threshold asks for anything else.
fn test_ledger(root: &Path, k6: &Path) -> Result<()> {
    let selftest = |lost: &str| {
        let mut run = Command::new(k6);
        run.args(["run", "--quiet", "--no-usage-report", "loadtest/selftest.js"]).current_dir(root);
        run.env("K6_AUTO_EXTENSION_RESOLUTION", "false").env("LOST", lost);
        run
    };
    succeed(&mut selftest("6"))?;
    eprintln!("the same with a threshold that does not hold:");
    if succeed(&mut selftest("0")).is_ok() {
        bail!("k6 calls a run good that has lost 6 messages, where none may be lost");
    }
    Ok(())
}

fn keep(root: &Path, script: &str) -> Result<()> {
    let name = format!("{script}.txt");
    std::fs::create_dir_all(root.join(RECORDS))?;
    std::fs::copy(root.join(RESULTS).join(&name), root.join(RECORDS).join(&name))
        .with_context(|| format!("{script} has left no summary"))?;
    Ok(())
}

fn succeed(command: &mut Command) -> Result<()> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start {shown}"))?;
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if begin.elapsed() > SCRIPT_LIMIT {
            process::kill_with_descendants(child.id());
            child.wait()?;
            bail!("{shown} took longer than {SCRIPT_LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if !status.success() {
        bail!("{shown}: {status}");
    }
    Ok(())
}
