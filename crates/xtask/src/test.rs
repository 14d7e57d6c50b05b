//! `cargo xtask test`: everything, with what it needs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use xtask::{foreign, javascript, process, project_root, python};

use crate::{fuzz, install};

/// How long the tests may print nothing. The longest takes a minute and a half alone; one that hangs must not take the
/// word of all others with it.
const SILENCE_MAX: Duration = Duration::from_secs(600);
/// Lines that wait to be shown; the tests wait when there are more.
const LINES_MAX: usize = 1000;

/// Numbers of `cargo test`, added up over all test programs.
#[derive(Debug, Default)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs all tests, and gives the corpus to the fuzz targets. With `arguments`, which go to `cargo test`, only what
/// they ask for.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    install::programs()?;
    foreign::prepare()?;
    python::tools()?;
    javascript::prepare()?;
    let mut totals = Totals::default();
    // Built first, so that what is silent afterwards is a test.
    if !workspace(&["--no-run"]).args(arguments).status().context("cannot run cargo")?.success() {
        bail!("the tests cannot be built");
    }
    let mut workspace = workspace(&["--no-fail-fast"]);
    workspace.args(arguments);
    let mut succeeded = totals.run(&mut workspace)?;
    if arguments.is_empty() {
        succeeded &= totals.run(&mut fuzz::replay_command())?;
    }
    let Totals { passed, failed, ignored } = totals;
    println!("{passed} passed, {failed} failed, {ignored} skipped");
    if !succeeded {
        bail!("tests failed");
    }
    if passed == 0 && arguments.is_empty() {
        bail!("no test was run");
    }
    Ok(())
}

fn workspace(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--workspace"]).args(options).current_dir(project_root());
    command
}

impl Totals {
    /// Runs tests, shows what they print and counts them; whether all was well.
    fn run(&mut self, command: &mut Command) -> Result<bool> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
        let lines = lines_of(child.stdout.take().context("cargo has no output")?);
        loop {
            match lines.recv_timeout(SILENCE_MAX) {
                Ok(line) => {
                    std::io::stdout().write_all(&[&line[..], b"\n"].concat())?;
                    self.add(&String::from_utf8_lossy(&line));
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(child.wait()?.success()),
                Err(RecvTimeoutError::Timeout) => return self.give_up(&mut child),
            }
        }
    }

    /// Ends tests that hang, with all that they have started.
    fn give_up(&mut self, child: &mut Child) -> Result<bool> {
        println!(
            "the tests have printed nothing for {SILENCE_MAX:?}: the one named last, or the next, hangs"
        );
        self.failed += 1;
        process::kill_with_descendants(child.id());
        child.wait()?;
        Ok(false)
    }

    /// `test result: ok. 35 passed; 0 failed; 0 ignored; …`
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let number = |what: &str| -> u64 {
            let part = result.split([';', '.']).find(|part| part.trim().ends_with(what));
            part.and_then(|part| part.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        self.passed += number("passed");
        self.failed += number("failed");
        self.ignored += number("ignored");
    }
}

/// Reads lines as they come, until the end of the output.
fn lines_of(output: ChildStdout) -> Receiver<Vec<u8>> {
    let (sender, lines) = sync_channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_add_up() {
        let mut totals = Totals::default();
        totals.add(
            "test result: ok. 35 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s",
        );
        totals.add("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out");
        totals.add("test something ... ok");
        assert_eq!((totals.passed, totals.failed, totals.ignored), (37, 3, 1));
    }
}
