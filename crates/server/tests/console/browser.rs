//! Programs that look at pages in headless Chromium, and what they wish for meanwhile.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::Value;
use xtask::foreign;

/// Runs a program of `tests/foreign` to its end. Each wish that it prints is granted, and it is told so by a line. Panics
/// where something was not as the program expects.
pub(crate) fn run(script: &str, arguments: &[String], mut grant: impl FnMut(&Value)) {
    let mut command = foreign::prepare().unwrap().node(script);
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = command.spawn().unwrap();
    let mut input = program.stdin.take().unwrap();
    let mut is_done = false;
    for line in BufReader::new(program.stdout.take().unwrap()).lines() {
        let said: Value = serde_json::from_str(&line.unwrap()).unwrap();
        is_done = said["done"] == true;
        if !is_done {
            grant(&said);
            writeln!(input, "granted").unwrap();
        }
    }
    assert!(program.wait().unwrap().success() && is_done, "{script} says what is wrong");
}
