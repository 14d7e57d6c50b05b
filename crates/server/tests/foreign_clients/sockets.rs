//! Connections of one client program: told apart by their number, read one by one.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use xtask::foreign::{self, Clients};

use crate::content::Content;
use crate::program::Program;

/// The subprotocol of JSON mode.
const JSON_MODE: &str = "roomcast.v1";

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    pub(crate) code: u64,
    pub(crate) reason: String,
}

/// The open connections of one program.
pub(crate) struct Sockets {
    program: Program,
    /// Lines that were read while another connection's were looked for.
    waiting: Vec<VecDeque<Value>>,
    /// What each said when it was open.
    pub(crate) opened: Vec<Value>,
    json: bool,
}

/// Which library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    /// npm `ws`
    Npm,
    /// Python `websockets`
    Python,
}

pub(crate) const LIBRARIES: [Library; 2] = [Library::Npm, Library::Python];

/// The installed clients.
pub(crate) fn clients() -> &'static Clients {
    foreign::prepare().unwrap()
}

impl Sockets {
    /// WebSockets of raw mode.
    pub(crate) fn raw(library: Library, port: u16, path: &str, count: usize) -> Self {
        Self::open(websockets(library), port, path, count, &[])
    }

    /// WebSockets of JSON mode.
    pub(crate) fn json(library: Library, port: u16, path: &str, count: usize) -> Self {
        let mut sockets = Self::open(websockets(library), port, path, count, &[JSON_MODE]);
        sockets.json = true;
        for n in 0..count {
            assert_eq!(sockets.reply(n)["type"], "welcome");
            assert_eq!(sockets.reply(n)["type"], "subscribed");
        }
        sockets
    }

    /// Streams of npm `eventsource` that listen to further events.
    pub(crate) fn sse(port: u16, path: &str, count: usize, events: &[&str]) -> Self {
        Self::open(clients().node("sse.mjs"), port, path, count, events)
    }

    /// WebSockets over one HTTP/2 connection.
    pub(crate) fn http2(port: u16, path: &str, count: usize) -> Self {
        Self::open(clients().node("h2.mjs"), port, path, count, &[])
    }

    /// The same with every message compressed.
    pub(crate) fn http2_deflate(port: u16, path: &str, count: usize) -> Self {
        let mut command = clients().node("h2.mjs");
        command.env("DEFLATE", "1");
        Self::open(command, port, path, count, &[])
    }

    /// Pages of one Chromium: an EventSource or a WebSocket each, the latter with its subprotocol behind a comma.
    pub(crate) fn chromium(port: u16, paths: &[&str]) -> Self {
        let mut command = clients().node("chromium.mjs");
        command.arg(port.to_string()).args(paths);
        Self::start(command, paths.len())
    }

    /// WebSockets behind TLS, of a node that shows a certificate of this authority.
    pub(crate) fn tls(script: &str, authority: &Path, port: u16, path: &str, count: usize) -> Self {
        let mut command = clients().node(script);
        command.env("TLS_AUTHORITY", authority);
        Self::open(command, port, path, count, &[])
    }

    fn open(mut command: Command, port: u16, path: &str, count: usize, more: &[&str]) -> Self {
        command.args([&port.to_string(), path, &count.to_string()]).args(more);
        Self::start(command, count)
    }

    fn start(command: Command, count: usize) -> Self {
        let program = Program::start(command);
        let waiting = vec![VecDeque::new(); count];
        let mut sockets = Self { program, waiting, opened: Vec::new(), json: false };
        for n in 0..count {
            let line = sockets.next(n);
            assert_eq!(line["what"], "open", "{line}");
            sockets.opened.push(line);
        }
        sockets
    }

    pub(crate) fn count(&self) -> usize {
        self.waiting.len()
    }

    /// Connection `n` sends.
    #[track_caller]
    pub(crate) fn send(&mut self, n: usize, content: &Content) {
        self.program.tell(&content.to_line(n));
    }

    /// Connection `n` of JSON mode sends a command.
    #[track_caller]
    pub(crate) fn command(&mut self, n: usize, command: &Value) {
        self.send(n, &Content::text(command.to_string()));
    }

    /// The next line about connection `n`.
    #[track_caller]
    pub(crate) fn next(&mut self, n: usize) -> Value {
        loop {
            if let Some(line) = self.waiting[n].pop_front() {
                return line;
            }
            let line = self.program.line();
            let line: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("not a line: {error}: {line}"));
            let owner = line["n"].as_u64().unwrap() as usize;
            self.waiting[owner].push_back(line);
        }
    }

    /// The next frame of connection `n` of JSON mode.
    #[track_caller]
    pub(crate) fn reply(&mut self, n: usize) -> Value {
        let line = self.next(n);
        let text = line["text"].as_str().unwrap_or_else(|| panic!("not a text frame: {line}"));
        serde_json::from_str(text).unwrap()
    }

    /// The next frame of connection `n` of JSON mode that has this type.
    #[track_caller]
    pub(crate) fn reply_of(&mut self, n: usize, kind: &str) -> Value {
        loop {
            let reply = self.reply(n);
            if reply["type"] == kind {
                return reply;
            }
        }
    }

    /// What the next message of connection `n` carries.
    #[track_caller]
    pub(crate) fn message(&mut self, n: usize) -> Content {
        if self.json {
            return Content::of_json(&self.reply_of(n, "message"));
        }
        let line = self.next(n);
        assert_eq!(line["what"], "message", "{line}");
        Content::of_line(&line)
    }

    /// How connection `n` ended; nothing else must come before.
    #[track_caller]
    pub(crate) fn closed(&mut self, n: usize) -> Closed {
        let line = self.next(n);
        assert_eq!(line["what"], "close", "{line}");
        let reason = line["reason"].as_str().unwrap().to_owned();
        Closed { code: line["code"].as_u64().unwrap(), reason }
    }

    /// Ends all connections; no message must have come that was not looked at.
    #[track_caller]
    pub(crate) fn finish(self) {
        let unread = self.waiting.iter().flatten().map(Value::to_string);
        for line in unread.chain(self.program.finish()) {
            let line: Value = serde_json::from_str(&line).unwrap();
            let reply = line["text"].as_str().is_some_and(|text| text.starts_with(r#"{"type":"ok""#));
            assert!(line["what"] == "close" || self.json && reply, "nobody expects {line}");
        }
    }
}

fn websockets(library: Library) -> Command {
    match library {
        Library::Npm => clients().node("ws.mjs"),
        Library::Python => clients().python("ws.py"),
    }
}

/// A backend service with npm `ioredis`.
pub(crate) struct Backend(Sockets);

impl Backend {
    pub(crate) fn connect(url: &str) -> Self {
        let mut command = clients().node("redis.mjs");
        command.arg(url);
        let waiting = vec![VecDeque::new()];
        let mut sockets =
            Sockets { program: Program::start(command), waiting, opened: Vec::new(), json: false };
        assert_eq!(sockets.next(0)["what"], "open");
        Self(sockets)
    }

    /// `redis.publish("room:<room>", payload)`, without waiting for the answer.
    pub(crate) fn publish(&mut self, room: &str, content: &Content) {
        let mut line = content.to_line(0);
        line["channel"] = json!(format!("room:{room}"));
        self.0.program.tell(&line);
    }

    /// The answers to so many publishes.
    pub(crate) fn wait(&mut self, count: usize) {
        for _ in 0..count {
            assert_eq!(self.0.next(0)["what"], "done");
        }
    }
}
