//! Programs with clients of the package, and what these tell.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use roomcast_bench::checker::{Heard, Id, Ledger, Message, Record};
use serde_json::{Value, json};
use xtask::{foreign, javascript};

/// Where the clients of a program run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Node,
    /// Pages; those whose config says `isShared` are tabs that share a connection.
    Chromium,
}

/// What the broker has, as the clients were answered.
#[derive(Default)]
pub(crate) struct Accepted {
    pub(crate) ledger: Mutex<Ledger>,
    /// A message whose answer was lost may stay beside its repetition: the key is gone with the data.
    pub(crate) may_lose: AtomicBool,
}

/// What one client has told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) record: Record,
    /// What it has of each room.
    pub(crate) has: BTreeMap<String, Id>,
    /// Rooms of which it was told `missed`, and not yet where they begin anew.
    missed: BTreeSet<String>,
    /// Each transport that has opened, in order.
    pub(crate) transports: Vec<String>,
    /// Why each `missed` was told.
    pub(crate) causes: Vec<String>,
    /// Why each token was asked for.
    pub(crate) tokens: Vec<String>,
    /// The last message of its own was answered.
    pub(crate) is_done: bool,
    /// It has given up, with this code.
    pub(crate) closed: Option<String>,
    /// Its tab has died; it tells nothing more.
    pub(crate) is_gone: bool,
}

/// A running program; ends with its handle.
pub(crate) struct Sdk {
    child: Child,
    input: Option<ChildStdin>,
    told: Arc<Mutex<Vec<Told>>>,
    reader: Option<JoinHandle<()>>,
}

impl Sdk {
    /// A client for each of these.
    pub(crate) fn start(place: Place, configs: &[Value], accepted: &Arc<Accepted>) -> Self {
        let clients = foreign::prepare().unwrap();
        let package = javascript::prepare().unwrap();
        let script = match place {
            Place::Node => "sdk.mjs",
            Place::Chromium => "sdk-chromium.mjs",
        };
        let mut command: Command = clients.node(script);
        command.arg(package.join("dist")).args(configs.iter().map(Value::to_string));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let input = child.stdin.take();
        let named = (0..configs.len()).map(|n| Told {
            record: Record::new(format!("{place:?} client {n}: {}", configs[n])),
            ..Told::default()
        });
        let told = Arc::new(Mutex::new(named.collect()));
        let (shared, accepted) = (Arc::clone(&told), Arc::clone(accepted));
        let reader = std::thread::spawn(move || read(output, &shared, &accepted));
        Self { child, input, told, reader: Some(reader) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Vec<Told>> {
        self.told.lock().unwrap()
    }

    /// All of its clients end their publishing.
    pub(crate) fn stop_publishing(&mut self) {
        let clients = self.told().len();
        for n in 0..clients {
            self.tell(&json!({ "n": n, "stop": true }));
        }
    }

    /// Tells the program what to do with one of its clients.
    pub(crate) fn tell(&mut self, line: &Value) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Closes everything; gives what was told, to the end.
    pub(crate) fn finish(mut self) -> Vec<Told> {
        drop(self.input.take());
        self.reader.take().unwrap().join().unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
        std::mem::take(&mut *self.told())
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(output: ChildStdout, told: &Mutex<Vec<Told>>, accepted: &Accepted) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let line: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a line of ours: {line}"));
        let mut all = told.lock().unwrap();
        let client = &mut all[line["n"].as_u64().unwrap() as usize];
        client.note(&line, accepted);
    }
}

impl Told {
    fn note(&mut self, line: &Value, accepted: &Accepted) {
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let room = text("room");
        match &*text("what") {
            "status" if line["state"] == "connected" => self.transports.push(text("transport")),
            "status" | "left" => {}
            "joined" => self.joined(&room, line["resumed"] == true, Id::parse(&text("id"))),
            "missed" => self.missed(room, text("cause")),
            "message" => {
                let (id, message) = (Id::parse(&text("id")).unwrap(), message(&line["data"]));
                self.record.hear(&room, Heard::Message { id, message });
                self.has.insert(room, id);
            }
            "accepted" => {
                let (id, message) = (Id::parse(&text("id")).unwrap(), message(&line["data"]));
                let mut ledger = accepted.ledger.lock().unwrap();
                ledger.accept(&room, id, message);
                if accepted.may_lose.load(Ordering::Relaxed) {
                    ledger.doubt(&room, message);
                }
            }
            "token" => self.tokens.push(text("reason")),
            "stopped" => self.is_done = true,
            "gone" => (self.is_done, self.is_gone) = (true, true),
            "closed" => self.closed = Some(text("code")),
            _ => panic!("{}: {line}", self.record.client),
        }
    }

    fn joined(&mut self, room: &str, resumed: bool, at: Option<Id>) {
        if resumed {
            return self.record.hear(room, Heard::Resumed);
        }
        let missed = self.missed.remove(room);
        self.record.hear(room, if missed { Heard::Missed { at } } else { Heard::Begins { at } });
        self.has.insert(room.to_owned(), at.unwrap_or(Id::START));
    }

    fn missed(&mut self, room: String, cause: String) {
        match &*cause {
            "missed" => drop(self.missed.insert(room)),
            "reset" => self.record.hear(&room, Heard::Reset),
            _ => panic!("{}: {cause} in {room}", self.record.client),
        }
        self.causes.push(cause);
    }

    /// Whether it is in all rooms.
    pub(crate) fn has_begun(&self, rooms: usize) -> bool {
        self.has.len() >= rooms
    }

    pub(crate) fn is_up_to_date(&self, ledger: &Ledger) -> bool {
        self.is_gone || self.has.iter().all(|(room, has)| ledger.last(room).is_none_or(|last| *has == last))
    }
}

fn message(data: &Value) -> Message {
    let number = |name: &str| data[name].as_u64().unwrap_or_else(|| panic!("nobody publishes {data}"));
    Message { publisher: number("p") as u32, number: number("n") as u32 }
}
