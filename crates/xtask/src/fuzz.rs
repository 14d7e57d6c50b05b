//! `cargo xtask fuzz`: every fuzz target for a bounded time, on a nightly compiler; and the corpus through all targets,
//! on any compiler.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use xtask::project_root;

/// How long a target runs where nobody says otherwise, in seconds: enough to notice what was just broken.
const SECONDS: u64 = 20;

/// How long one input may take, in seconds. They take microseconds; one that takes this long is a finding.
const INPUT_SECONDS_MAX: u64 = 10;

/// What is shown of a failed run: the panic, the stack and the name of the file.
const LINES_SHOWN: usize = 60;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    seconds: u64,
    replay: bool,
    /// All, if empty.
    targets: Vec<&'a str>,
}

/// Runs `[--seconds N] [TARGET…]`, or `--replay`.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let options = parse(arguments)?;
    if options.replay {
        return replay();
    }
    let known = targets()?;
    if let Some(unknown) = options.targets.iter().find(|name| !known.iter().any(|known| known == *name)) {
        bail!("there is no fuzz target {unknown}; there are {}", known.join(", "));
    }
    check_tools()?;
    let wanted = |name: &&String| options.targets.is_empty() || options.targets.contains(&&***name);
    let wanted: Vec<&String> = known.iter().filter(wanted).collect();
    let mut build = vec!["build", "--features", "libfuzzer"];
    if let [only] = wanted[..] {
        build.push(only);
    }
    if !cargo_fuzz(&build).status()?.success() {
        bail!("the fuzz targets cannot be built");
    }
    let mut failed = Vec::new();
    for name in wanted {
        if !fuzz(name, options.seconds)? {
            failed.push(&**name);
        }
    }
    if !failed.is_empty() {
        bail!(
            "{} failed; the inputs are in fuzz/artifacts/. Once it is mended, keep each in fuzz/corpus/, and make a test of it",
            failed.join(", ")
        );
    }
    Ok(())
}

fn parse<'a>(arguments: &[&'a str]) -> Result<Options<'a>> {
    let mut options = Options { seconds: SECONDS, replay: false, targets: Vec::new() };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            "--replay" => options.replay = true,
            "--seconds" => {
                let seconds = arguments.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                options.seconds = seconds.context("write --seconds N, N being a whole number above 0")?;
            }
            flag if flag.starts_with('-') => {
                bail!("there is no option {flag}; there are --seconds N and --replay")
            }
            name => options.targets.push(name),
        }
    }
    Ok(options)
}

/// Gives the whole corpus to every target, as tests, with the compiler that is in use.
fn replay() -> Result<()> {
    if !replay_command().status().context("cannot run cargo")?.success() {
        bail!("what must hold for the corpus does not");
    }
    Ok(())
}

/// The tests of the fuzz workspace.
pub(crate) fn replay_command() -> Command {
    stable_cargo(&["test", "--tests", "--locked"])
}

/// Cargo in the fuzz workspace, with the compiler that is in use. It shares what the main workspace has built.
pub(crate) fn stable_cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(folder());
    if std::env::var_os("CARGO_TARGET_DIR").is_none() {
        command.env("CARGO_TARGET_DIR", project_root().join("target"));
    }
    command
}

/// The names of the targets, in the order of the manifest.
fn targets() -> Result<Vec<String>> {
    let manifest: toml::Table = std::fs::read_to_string(folder().join("Cargo.toml"))?.parse()?;
    let programs =
        manifest.get("bin").and_then(|bin| bin.as_array()).context("fuzz/Cargo.toml has no programs")?;
    let name = |bin: &toml::Value| bin.get("name")?.as_str().map(str::to_owned);
    programs.iter().map(name).collect::<Option<_>>().context("a program in fuzz/Cargo.toml has no name")
}

fn folder() -> PathBuf {
    project_root().join("fuzz")
}

/// libFuzzer comes with a nightly compiler only, and cargo-fuzz knows how to ask for it.
fn check_tools() -> Result<()> {
    let works = |arguments: &[&str]| {
        let mut command = Command::new("rustup");
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !works(&["run", "nightly", "rustc", "--version"]) {
        bail!(
            "fuzzing needs a nightly compiler: rustup toolchain install nightly --profile minimal. \
             On any compiler, `cargo xtask fuzz --replay` gives the corpus to every target"
        );
    }
    if !works(&["run", "nightly", "cargo", "fuzz", "--version"]) {
        bail!(
            "fuzzing needs cargo-fuzz: cargo install cargo-fuzz --locked. \
             Without it, `cargo xtask fuzz --replay` gives the corpus to every target"
        );
    }
    Ok(())
}

fn cargo_fuzz(arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "fuzz"]).args(arguments).current_dir(folder());
    // What was found is kept apart from the seeds, below a folder that is nobody's source.
    command.env("CARGO_TARGET_DIR", folder().join("target"));
    command
}

/// Runs one target; whether it found nothing.
fn fuzz(name: &str, seconds: u64) -> Result<bool> {
    let (found, seeds) = (folder().join("target/corpus").join(name), folder().join("corpus").join(name));
    std::fs::create_dir_all(&found)?;
    let mut command = cargo_fuzz(&["run", "--features", "libfuzzer", name]);
    command.args([found, seeds]).arg("--").arg(format!("-max_total_time={seconds}"));
    let output = command.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg("-print_final_stats=1").output()?;
    let log = log(&output);
    let runs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let runs = runs.map_or("an unknown number of", str::trim);
    if output.status.success() {
        println!("{name}: {runs} runs, nothing found");
        return Ok(true);
    }
    println!("{name}: failed after {runs} runs");
    let lines: Vec<_> = log.lines().collect();
    println!("{}", lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n"));
    Ok(false)
}

fn log(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments() {
        let options =
            |seconds, replay, targets: &[&'static str]| Options { seconds, replay, targets: targets.into() };
        assert_eq!(parse(&[]).unwrap(), options(SECONDS, false, &[]));
        assert_eq!(parse(&["--replay"]).unwrap(), options(SECONDS, true, &[]));
        assert_eq!(parse(&["resp", "--seconds", "5", "sse"]).unwrap(), options(5, false, &["resp", "sse"]));
        for wrong in [&["--seconds"][..], &["--seconds", "0"], &["--seconds", "x"], &["--minutes", "1"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn targets_are_those_of_the_manifest() {
        let targets = targets().unwrap();
        assert!(targets.iter().any(|name| name == "frame_reader") && targets.len() >= 10, "{targets:?}");
    }
}
