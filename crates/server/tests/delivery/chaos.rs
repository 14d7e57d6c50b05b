//! What goes wrong, in an order that a seed decides.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use xtask::{Node, Redis, free_port};

use crate::scene::Scene;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");
pub(crate) const NODES: usize = 3;

/// Something that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The sockets of a third of the clients.
    ClientsCut,
    /// A node crashes and comes back.
    NodeKilled,
    /// A node is replaced as in a deploy.
    NodeDrained,
    /// All nodes are, one after another.
    RollingRestart,
    /// Redis drops the connections that subscribe.
    LinksKilled,
    /// Redis answers nobody for longer than nodes wait.
    RedisPaused,
    /// Redis crashes and comes back.
    RedisRestarted,
    /// Redis and a node crash, and the node is back first.
    BothKilled,
}

/// What happens twice. A rolling restart is long enough to happen once.
const TWICE: [Fault; 7] = [
    Fault::ClientsCut,
    Fault::NodeKilled,
    Fault::NodeDrained,
    Fault::LinksKilled,
    Fault::RedisPaused,
    Fault::RedisRestarted,
    Fault::BothKilled,
];

/// The servers, and what breaks them.
pub(crate) struct Chaos {
    redis: Redis,
    nodes: Vec<Node>,
    arguments: Vec<String>,
    random: Random,
    injected: BTreeMap<Fault, u32>,
}

impl Chaos {
    pub(crate) fn new(redis: &[&str], seed: u64) -> Self {
        let redis = Redis::start_with(redis).unwrap();
        let set = ["broker.timeout=1s", "drain.window=1s", "namespaces.default.history=10000"];
        let mut arguments = vec!["--redis".to_owned(), redis.url()];
        arguments.extend(set.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]));
        let nodes: Vec<_> = (0..NODES).map(|_| start(free_port(), free_port(), &arguments)).collect();
        nodes.iter().for_each(Node::wait_until_ready);
        Self { redis, nodes, arguments, random: Random(seed), injected: BTreeMap::new() }
    }

    pub(crate) fn ports(&self) -> [u16; NODES] {
        std::array::from_fn(|node| self.nodes[node].port())
    }

    /// Public and admin ports of the nodes.
    pub(crate) fn addresses(&self) -> Vec<(u16, u16)> {
        self.nodes.iter().map(|node| (node.port(), node.admin_port())).collect()
    }

    /// Redis ends, comes back with what it had, and every node has found it.
    pub(crate) fn restart_redis(&mut self) {
        self.redis.restart().unwrap();
        self.nodes.iter().for_each(Node::wait_until_ready);
    }

    /// Every fault, in any order, and clients cut more often, also while something else is broken.
    pub(crate) fn rage(&mut self, scene: &Scene) {
        let mut faults = [TWICE, TWICE].concat();
        faults.push(Fault::RollingRestart);
        faults.extend([Fault::ClientsCut; 6]);
        while !faults.is_empty() {
            let fault = faults.swap_remove(self.random.below(faults.len()));
            self.inject(fault, scene);
            let pause = self.random.below(1500) as u64;
            std::thread::sleep(Duration::from_millis(pause));
        }
    }

    pub(crate) fn inject(&mut self, fault: Fault, scene: &Scene) {
        *self.injected.entry(fault).or_default() += 1;
        let victim = self.random.below(NODES);
        let pause = Duration::from_millis(self.random.below(1200) as u64);
        match fault {
            Fault::ClientsCut => scene.cut(|| self.random.below(3) == 0),
            Fault::NodeKilled => {
                self.nodes[victim].kill();
                std::thread::sleep(pause);
                self.replace(victim);
            }
            Fault::NodeDrained => {
                self.drain(victim);
                self.replace(victim);
            }
            Fault::RollingRestart => {
                for node in 0..NODES {
                    self.drain(node);
                    self.replace(node);
                    // A deploy goes on when the new one can take clients.
                    self.nodes[node].wait_until_ready();
                }
            }
            Fault::LinksKilled => self.redis_command(&["CLIENT", "KILL", "TYPE", "pubsub"]),
            Fault::RedisPaused => {
                self.redis_command(&["CLIENT", "PAUSE", "1500", "ALL"]);
                std::thread::sleep(pause);
                scene.cut(|| self.random.below(3) == 0);
            }
            Fault::RedisRestarted => {
                self.redis.stop();
                std::thread::sleep(pause);
                scene.cut(|| self.random.below(6) == 0);
                self.redis.restart().unwrap();
            }
            Fault::BothKilled => {
                self.redis.stop();
                self.nodes[victim].kill();
                self.replace(victim);
                std::thread::sleep(pause);
                self.redis.restart().unwrap();
            }
        }
    }

    pub(crate) fn injected(&self) -> String {
        let total: u32 = self.injected.values().sum();
        format!("{total} {:?}", self.injected)
    }

    /// Asks a node to leave, and waits until it has.
    fn drain(&mut self, node: usize) {
        self.nodes[node].signal(Signal::TERM).unwrap();
        let status = self.nodes[node].wait(Duration::from_secs(30)).unwrap();
        assert!(status.success(), "{status}:\n{}", self.nodes[node].output());
    }

    /// On the same ports.
    fn replace(&mut self, victim: usize) {
        let (port, admin_port) = (self.nodes[victim].port(), self.nodes[victim].admin_port());
        self.nodes[victim] = start(port, admin_port, &self.arguments);
    }

    fn redis_command(&self, parts: &[&str]) {
        let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
        self.redis.command(&parts).unwrap();
    }
}

fn start(port: u16, admin_port: u16, arguments: &[String]) -> Node {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    Node::start_on(BINARY, port, admin_port, &arguments).unwrap()
}

/// From the environment, or from the clock.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("ROOMCAST_CHAOS_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    });
    println!("ROOMCAST_CHAOS_SEED={seed}");
    seed
}

/// SplitMix64: a few lines, and good enough to choose what breaks next.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}
