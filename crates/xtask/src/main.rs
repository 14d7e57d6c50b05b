//! `cargo xtask …`: what developers and continuous integration run.

mod autobahn;
mod ci;
mod cluster;
mod compose;
mod cost;
mod deny;
mod example;
mod fuzz;
mod helm;
mod install;
mod loadtest;
mod test;
mod tools;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test      install what the tests need, where that is allowed, and run all of them
  ci        formatting, lints, documentation, dependencies, the chart, the compose file and k6 (need Go), then test
  autobahn  the cases about compression of the Autobahn test suite with all of their messages; takes many minutes
  cluster   [--set KEY=VALUE]… [--state FILE]: run Redis, three nodes with these settings, haproxy and Prometheus on this
            machine, until Ctrl-C; a node that ends is started again. FILE tells a shell script the addresses and process ids
  example   NAME: run an example of docs/examples with Redis, two nodes and nginx on this machine, until Ctrl-C
  fuzz      [--seconds N] [TARGET…]: run fuzz targets, each for 20 seconds; needs a nightly compiler and cargo-fuzz
            --replay: give the corpus to all of them, on any compiler; test does this too
  compose   check docker-compose.yml by compose-go; needs Go
  cost      count the instructions that a delivery takes, and compare with what it may take; ci does this too
  helm      check the chart: lint, refusals, unit tests, renders for several versions of Kubernetes; needs Go
            --write: render deploy/kubernetes from it
  loadtest  [--record] [SCRIPT…]: build k6 with the extension in loadtest/, test it, and run the load tests, all or those
            named, each against a cluster of its own; --record keeps their summaries in docs/loadtest; needs Go
            --check: only the extension, the ledger and what k6 writes for the dashboard; ci does this too
  tools     [NAME…]: build the Go programs that checks use into target/tools, all or those named; needs Go
  deny      check licences, sources, duplicates and known weaknesses of dependencies; needs cargo-deny
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test", ref rest @ ..] => test::run(rest),
        ["ci"] => ci::run(),
        ["example", name] => example::run(name),
        ["fuzz", ref rest @ ..] => fuzz::run(rest),
        ["helm"] => helm::run(),
        ["helm", "--write"] => helm::write(),
        ["loadtest", ref scripts @ ..] => loadtest::run(scripts),
        ["tools", ref names @ ..] => tools::run(names),
        ["compose"] => compose::run(),
        ["cost"] => cost::run(),
        ["deny"] => deny::run(),
        ["autobahn"] => autobahn::run(),
        ["cluster", ref rest @ ..] => cluster::run(rest),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    report(result)
}

fn report(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
