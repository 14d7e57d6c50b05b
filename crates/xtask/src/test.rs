//! `cargo xtask test`: everything, with what it needs.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use xtask::{foreign, project_root};

use crate::{fuzz, install};

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
    let mut totals = Totals::default();
    let mut workspace = Command::new(env!("CARGO"));
    workspace.args(["test", "--workspace", "--no-fail-fast"]).args(arguments).current_dir(project_root());
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

impl Totals {
    /// Runs tests, shows what they print and counts them; whether all was well.
    fn run(&mut self, command: &mut Command) -> Result<bool> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
        let output = child.stdout.take().context("cargo has no output")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            std::io::stdout().write_all(&[&line[..], b"\n"].concat())?;
            self.add(&String::from_utf8_lossy(&line));
        }
        Ok(child.wait()?.success())
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
