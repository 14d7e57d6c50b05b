//! What a cluster for trials consists of: `cargo xtask cluster` starts it on this machine, `docker-compose.yml` in
//! containers, both with the same files of the folder `deploy/`.

use std::path::PathBuf;

use crate::balancer::project_root;

/// One program of it.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Its name, also in the containers' network.
    pub name: &'static str,
    /// Ports of the loopback address, and the container's own that are behind them.
    pub ports: &'static [(u16, u16)],
    /// Configuration files, below the project's root; the first is the main one.
    pub files: &'static [&'static str],
    /// Environment variables.
    pub environment: &'static [(&'static str, &'static str)],
}

impl Service {
    /// Where its main configuration file is.
    pub fn file(&self) -> PathBuf {
        project_root().join(self.files.first().copied().unwrap_or_default())
    }
}

/// Redis.
pub const REDIS: Service =
    Service { name: "redis", ports: &[(6379, 6379)], files: &["deploy/redis/redis.conf"], environment: &[] };

/// The nodes: public port, then admin port.
pub const GATEWAYS: [Service; 3] = [
    gateway("gateway1", &[(8081, 8080), (9091, 9090)], &[("ROOMCAST_NODE__NAME", "gateway1")]),
    gateway("gateway2", &[(8082, 8080), (9092, 9090)], &[("ROOMCAST_NODE__NAME", "gateway2")]),
    gateway("gateway3", &[(8083, 8080), (9093, 9090)], &[("ROOMCAST_NODE__NAME", "gateway3")]),
];

/// The load balancer.
pub const BALANCER: Service = Service {
    name: "haproxy",
    ports: &[(8080, 8000)],
    files: &["deploy/haproxy/haproxy.cfg"],
    environment: &[],
};

/// What asks the nodes for their metrics.
pub const PROMETHEUS: Service = Service {
    name: "prometheus",
    ports: &[(9090, 9090)],
    files: &["deploy/prometheus/prometheus.yml", "deploy/prometheus/roomcast.rules.yml"],
    environment: &[],
};

const fn gateway(
    name: &'static str,
    ports: &'static [(u16, u16)],
    environment: &'static [(&'static str, &'static str)],
) -> Service {
    Service { name, ports, files: &["deploy/roomcast/roomcast.toml"], environment }
}

/// All of them, in the order in which they are started.
pub fn services() -> Vec<Service> {
    [&[REDIS][..], &GATEWAYS, &[BALANCER, PROMETHEUS]].concat()
}
