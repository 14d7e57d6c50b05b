//! `cargo xtask cluster`: Redis, three nodes and haproxy on this machine, with the configuration
//! files of the folder `deploy/`.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use xtask::{Balancer, Kind, Node, Redis, free_port, project_root};

use crate::install;

const NODES: u16 = 3;

/// Runs until Ctrl-C or SIGTERM, then stops everything it has started.
pub(crate) fn run() -> Result<()> {
    install::programs()?;
    build()?;
    let redis = Redis::start_on(preferred(6379), &[])?;
    let binary = project_root().join("target/release/roomcast");
    let config = project_root().join("deploy/roomcast/roomcast.toml");
    let mut nodes = Vec::new();
    for i in 1..=NODES {
        let (url, name) = (redis.url(), format!("node.name=gateway{i}"));
        let arguments = ["--config", &config.to_string_lossy(), "--redis", &url, "--set", &name];
        let node = Node::start_on(&binary, preferred(8080 + i), preferred(9090 + i), &arguments)?;
        node.wait_until_ready();
        nodes.push(node);
    }
    let ports: Vec<_> = nodes.iter().map(|node| (node.port(), node.admin_port())).collect();
    let balancer = Balancer::start_on(Kind::Haproxy, preferred(8080), &ports)?;
    announce(&redis, &nodes, balancer.port());
    wait_for_signal()
}

fn build() -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "roomcast"])
        .current_dir(project_root())
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the build failed");
    }
    Ok(())
}

/// The well-known port where it is free, else another one.
fn preferred(port: u16) -> u16 {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => port,
        Err(_) => free_port(),
    }
}

fn announce(redis: &Redis, nodes: &[Node], port: u16) {
    println!("\nThree nodes behind haproxy, connected through Redis:\n");
    println!(
        "  all nodes   http://127.0.0.1:{port}/  (WebSocket /ws, SSE /sse, publish /rooms/ROOM/messages)"
    );
    for (i, node) in nodes.iter().enumerate() {
        let (public, admin) = (node.port(), node.admin_port());
        println!("  gateway{}    http://127.0.0.1:{public}/   admin http://127.0.0.1:{admin}/metrics", i + 1);
    }
    println!("  Redis       {}\n", redis.url());
    println!("  curl -N 'http://127.0.0.1:{port}/sse?room=hello'");
    println!("  redis-cli -p {} PUBLISH room:hello 'hi there'\n", redis.port());
    println!("Ctrl-C ends all of it.");
}

fn wait_for_signal() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
