//! Three nodes on one Redis, and what stands in front of them.

use std::process::Command;

use roomcast_bench::SseClient;
use xtask::{Balancer, Kind, Node, Redis, wait_until};

use crate::program::run_to_end;

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// The load balancers that every claim has to hold behind.
pub(crate) const BALANCERS: [Kind; 4] = Kind::ALL;

pub(crate) const NODES: usize = 3;

/// Redis and the nodes; they end with it.
pub(crate) struct Cluster {
    pub(crate) redis: Redis,
    pub(crate) nodes: Vec<Node>,
    setting: &'static str,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::start_with("namespaces.default.history=0")
    }

    /// With one setting.
    pub(crate) fn start_with(setting: &'static str) -> Self {
        let redis = Redis::start().unwrap();
        let url = redis.url();
        let nodes =
            (0..NODES).map(|_| Node::start_unready(BINARY, &["--redis", &url, "--set", setting]).unwrap());
        let cluster = Self { nodes: nodes.collect(), redis, setting };
        cluster.nodes.iter().for_each(Node::wait_until_ready);
        cluster
    }

    /// Kills a node as a crash would, and starts another in its place.
    pub(crate) fn replace(&mut self, node: usize) {
        let (port, admin_port) = (self.nodes[node].port(), self.nodes[node].admin_port());
        self.nodes[node].kill();
        let arguments = ["--redis", &self.redis.url(), "--set", self.setting];
        self.nodes[node] = Node::start_on(BINARY, port, admin_port, &arguments).unwrap();
        self.nodes[node].wait_until_ready();
    }

    /// A load balancer in front of the nodes: round robin, nobody sticks to a node. It has heard of every node that it is
    /// well, which takes Envoy a moment.
    pub(crate) fn balancer(&self, kind: Kind) -> Balancer {
        let ports: Vec<_> = self.nodes.iter().map(|node| (node.port(), node.admin_port())).collect();
        let balancer = Balancer::start(kind, &ports).unwrap();
        wait_until("all nodes are used", || {
            let open = |_| SseClient::open(balancer.port(), "/sse?room=first");
            let streams: Vec<_> = (0..2 * NODES).map(open).collect();
            streams.iter().all(Result::is_ok) && self.connections().iter().all(|of_node| *of_node > 0.0)
        });
        wait_until("the first streams are gone", || self.connections().iter().sum::<f64>() == 0.0);
        balancer
    }

    /// Open connections of each node.
    pub(crate) fn connections(&self) -> Vec<f64> {
        self.nodes.iter().map(|node| node.metric("roomcast_connections", "").unwrap()).collect()
    }

    /// `redis-cli PUBLISH room:<room> <payload>`; gives how many nodes it reached.
    pub(crate) fn redis_cli(&self, room: &str, payload: &[u8]) -> u64 {
        run_to_end(self.redis_cli_command(room), payload).trim().parse().unwrap()
    }

    /// The same, to be started; the payload is its input, so that it may be any bytes.
    pub(crate) fn redis_cli_command(&self, room: &str) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.redis.port().to_string(), "-x", "PUBLISH", &format!("room:{room}")]);
        command
    }
}
