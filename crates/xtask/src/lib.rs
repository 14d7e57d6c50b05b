//! Real programs for tests and for the local cluster: each is started on a free port of the
//! loopback address and stopped by its own process id.

pub mod authority;
pub mod balancer;
pub mod examples;
pub mod foreign;
pub mod go_tools;
pub mod javascript;
pub mod node;
pub mod plan;
pub mod process;
pub mod prometheus;
pub mod python;
pub mod redis;

pub use authority::Authority;
pub use balancer::{Balancer, Kind, project_root};
pub use examples::Example;
pub use node::Node;
pub use process::{Daemon, free_port, wait_until};
pub use prometheus::Prometheus;
pub use redis::Redis;
