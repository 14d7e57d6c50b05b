//! Nodes on one Redis, clients of the package in front of them, and the checker at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use roomcast_bench::checker::{FaultKind, Id, Report, check};
use rustix::process::Signal;
use serde_json::{Value, json};
use xtask::{Balancer, Kind, Node, Redis, free_port, wait_until};

use crate::sdk::{Accepted, Place, Sdk, Told};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");
pub(crate) const NODES: usize = 3;
pub(crate) const ROOMS: [&str; 3] = ["a", "b", "chat:1"];
/// A crash of Redis then loses nothing that it has answered.
pub(crate) const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
/// Between two messages of one client.
const PACE_MS: u64 = 40;
/// What comes twice comes soon.
const AFTERMATH: Duration = Duration::from_millis(500);

pub(crate) struct Scene {
    pub(crate) redis: Redis,
    pub(crate) nodes: Vec<Node>,
    arguments: Vec<String>,
    programs: Vec<Sdk>,
    accepted: Arc<Accepted>,
    publishers: u32,
}

impl Scene {
    pub(crate) fn start(redis: &[&str], settings: &[&str]) -> Self {
        let redis = Redis::start_with(redis).unwrap();
        let usual = ["broker.timeout=1s", "drain.window=1s", "namespaces.default.history=10000"];
        let mut arguments = vec!["--redis".to_owned(), redis.url()];
        for setting in usual.iter().chain(&["namespaces.chat.history=10000"]).chain(settings) {
            arguments.extend(["--set".to_owned(), (*setting).to_owned()]);
        }
        let nodes: Vec<_> = (0..NODES).map(|_| node(free_port(), free_port(), &arguments)).collect();
        nodes.iter().for_each(Node::wait_until_ready);
        Self { redis, nodes, arguments, programs: Vec::new(), accepted: Arc::default(), publishers: 0 }
    }

    /// What the nodes do not refuse.
    pub(crate) fn balancer(&self) -> Balancer {
        let ports: Vec<_> = self.nodes.iter().map(|node| (node.port(), node.admin_port())).collect();
        Balancer::start(Kind::Haproxy, &ports).unwrap()
    }

    /// What a client is told to do: to be in all rooms, and to publish to them.
    pub(crate) fn config(&mut self, port: u16, options: &Value) -> Value {
        self.publishers += 1;
        let mut all = json!({ "backoff": { "baseMs": 100, "capMs": 1000 }, "openTimeoutMs": 3000 });
        all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        json!({
            "url": format!("http://127.0.0.1:{port}/"), "rooms": ROOMS, "options": all,
            "publisher": self.publishers, "paceMs": PACE_MS
        })
    }

    /// Starts clients, and waits until they are in their rooms.
    pub(crate) fn add(&mut self, place: Place, configs: &[Value]) -> usize {
        let program = Sdk::start(place, configs, &self.accepted);
        wait_until("the clients are in their rooms", || {
            program.told().iter().all(|client| client.has_begun(ROOMS.len()))
        });
        self.programs.push(program);
        self.programs.len() - 1
    }

    pub(crate) fn program(&self, number: usize) -> &Sdk {
        &self.programs[number]
    }

    /// Tells a program what to do with one of its clients.
    pub(crate) fn tell(&mut self, program: usize, line: &Value) {
        self.programs[program].tell(line);
    }

    /// A publish that fails may nevertheless stay, beside its repetition.
    pub(crate) fn data_may_be_lost(&self) {
        self.accepted.may_lose.store(true, Ordering::Relaxed);
    }

    /// Kills a node as a crash would, and starts another on its ports.
    pub(crate) fn kill(&mut self, number: usize) {
        self.nodes[number].kill();
        self.replace(number);
    }

    /// Replaces a node as in a deploy.
    pub(crate) fn drain(&mut self, number: usize) {
        self.nodes[number].signal(Signal::TERM).unwrap();
        let status = self.nodes[number].wait(Duration::from_secs(30)).unwrap();
        assert!(status.success(), "{status}");
        self.replace(number);
    }

    fn replace(&mut self, number: usize) {
        let (port, admin_port) = (self.nodes[number].port(), self.nodes[number].admin_port());
        self.nodes[number] = node(port, admin_port, &self.arguments);
        self.nodes[number].wait_until_ready();
    }

    /// Waits until every client has heard so many more messages of each room.
    pub(crate) fn wait_until_everyone_hears(&self) {
        for program in &self.programs {
            let before: Vec<_> = program.told().iter().map(|client| client.has.clone()).collect();
            let is_new = |client: &Told, before: &BTreeMap<String, Id>| {
                client.is_gone || ROOMS.iter().all(|room| client.has.get(*room) > before.get(*room))
            };
            wait_until("everyone hears something new of every room", || {
                program.told().iter().zip(&before).all(|(client, before)| is_new(client, before))
            });
        }
    }

    /// Waits until everybody has the last messages, and checks all that was heard.
    pub(crate) fn report(mut self) -> (Report, Vec<Told>) {
        self.programs.iter_mut().for_each(Sdk::stop_publishing);
        let all =
            |is: &dyn Fn(&Told) -> bool| self.programs.iter().all(|program| program.told().iter().all(is));
        wait_until("all messages are answered", || all(&|client| client.is_done));
        let ledger = self.accepted.ledger.lock().unwrap().clone();
        wait_until("everyone is up to date", || all(&|client| client.is_up_to_date(&ledger)));
        std::thread::sleep(AFTERMATH);
        let told: Vec<_> = self.programs.into_iter().flat_map(Sdk::finish).collect();
        let records: Vec<_> = told.iter().map(|client| client.record.clone()).collect();
        let mut report = check(&ledger, &records);
        let is_gone = |name: &str| told.iter().any(|client| client.is_gone && client.record.client == name);
        // Who has died gets nothing any more; until then it must have got everything.
        report.faults.retain(|fault| {
            !matches!(fault.kind, FaultKind::Lost { before: None, .. }) || !is_gone(&fault.client)
        });
        println!("{} messages published: {report}", ledger.len());
        (report, told)
    }
}

fn node(port: u16, admin_port: u16, arguments: &[String]) -> Node {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Node::start_on(BINARY, port, admin_port, &arguments).unwrap()
}
