//! A client program that is told and tells by lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use serde_json::Value;

/// How long a program may say nothing while something is expected. Only bounds a failure.
const LIMIT: Duration = Duration::from_secs(60);

/// Lines that wait to be looked at; a program that has more to say waits.
const LINES_MAX: usize = 10_000;

/// A running program; ends with its handle.
pub(crate) struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    pub(crate) fn start(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = sync_channel(LINES_MAX);
        let read = move || {
            for line in output.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("client-output".to_owned()).spawn(read).unwrap();
        Self { name, child, input, lines }
    }

    /// Its next line.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        self.line_or_end().unwrap_or_else(|| panic!("{} has ended: {:?}", self.name, self.child.wait()))
    }

    /// Its next line; none if it has ended.
    #[track_caller]
    pub(crate) fn line_or_end(&mut self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => panic!("{} says nothing", self.name),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    /// Gives it a line.
    #[track_caller]
    pub(crate) fn tell(&mut self, line: &Value) {
        let input = self.input.as_mut().expect("its input is open");
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("{} does not listen: {error}", self.name));
    }

    /// Ends its input, and gives what it still says before it ends, which must be without an error.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Vec<String> {
        drop(self.input.take());
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("{} does not end", self.name),
            }
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}: {status}", self.name);
        rest
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that was started with all that it has to know; [`wait`](Job::wait) gives what it prints.
pub(crate) struct Job {
    name: String,
    child: Child,
}

impl Job {
    /// Starts a program and gives it `input`.
    pub(crate) fn start(mut command: Command, input: &[u8]) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        // A server that refuses early leaves the rest of the input unread.
        let _ = child.stdin.take().unwrap().write_all(input);
        Self { name, child }
    }

    #[track_caller]
    pub(crate) fn wait(mut self) -> String {
        let mut output = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}: {status}: {output}", self.name);
        output
    }
}

/// Runs a program with `input` and gives what it prints.
#[track_caller]
pub(crate) fn run_to_end(command: Command, input: &[u8]) -> String {
    Job::start(command, input).wait()
}
