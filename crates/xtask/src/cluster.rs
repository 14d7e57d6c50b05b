//! `cargo xtask cluster`: Redis, three nodes, haproxy and Prometheus on this machine, with the configuration
//! files of the folder `deploy/`, as `docker-compose.yml` has them in containers. A node that ends is started again, as a container would be.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use xtask::plan::{BALANCER, GATEWAYS, PROMETHEUS, REDIS};
use xtask::process::preferred_port;
use xtask::{Balancer, Kind, Node, Prometheus, Redis, project_root};

use crate::install;

/// How often nodes are looked after. A container would not be back faster.
const LOOK: Duration = Duration::from_millis(200);
/// How long it is tried to start a node again, where another program has taken its port meanwhile: that of a node that
/// drains is free.
const REPLACE_LIMIT: Duration = Duration::from_secs(60);
/// How often.
const REPLACE_EVERY: Duration = Duration::from_secs(1);

/// What the command line says.
#[derive(Debug, Default)]
struct Options {
    /// `KEY=VALUE` for each node.
    settings: Vec<String>,
    /// Where to write addresses and process ids.
    state: Option<PathBuf>,
}

struct Cluster {
    redis: Redis,
    nodes: Vec<Node>,
    balancer: Balancer,
    prometheus: Prometheus,
    options: Options,
}

/// Runs until Ctrl-C or SIGTERM, then stops everything it has started.
pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let options = Options::parse(arguments)?;
    install::programs()?;
    build()?;
    let mut cluster = Cluster::start(options)?;
    cluster.announce();
    cluster.write_state()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(cluster.look_after())
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        for pair in arguments.chunks(2) {
            match pair {
                ["--set", setting] => options.settings.push((*setting).to_owned()),
                ["--state", file] => options.state = Some(PathBuf::from(file)),
                _ => bail!("{pair:?}: cluster takes --set KEY=VALUE and --state FILE"),
            }
        }
        Ok(options)
    }
}

impl Cluster {
    fn start(options: Options) -> Result<Self> {
        let include = REDIS.file().to_string_lossy().into_owned();
        let redis = Redis::start_on(preferred_port(REDIS.ports[0].0), &["--include", &include])?;
        let mut nodes = Vec::new();
        for (i, gateway) in GATEWAYS.iter().enumerate() {
            let [port, admin_port] = [0, 1].map(|n| preferred_port(gateway.ports[n].0));
            let node = start_node(i, port, admin_port, &redis, &options)?;
            node.wait_until_ready();
            nodes.push(node);
        }
        let ports: Vec<_> = nodes.iter().map(|node| (node.port(), node.admin_port())).collect();
        let balancer = Balancer::start_on(Kind::Haproxy, preferred_port(BALANCER.ports[0].0), &ports)?;
        let admin_ports: Vec<_> = nodes.iter().map(Node::admin_port).collect();
        let prometheus = Prometheus::start_on(preferred_port(PROMETHEUS.ports[0].0), &admin_ports)?;
        Ok(Self { redis, nodes, balancer, prometheus, options })
    }

    fn announce(&self) {
        let port = self.balancer.port();
        println!("\nThree nodes behind haproxy, connected through Redis:\n");
        println!(
            "  all nodes   http://127.0.0.1:{port}/  (WebSocket /ws, SSE /sse, publish /rooms/ROOM/messages)"
        );
        for (i, node) in self.nodes.iter().enumerate() {
            let (public, admin) = (node.port(), node.admin_port());
            println!(
                "  gateway{}    http://127.0.0.1:{public}/   admin http://127.0.0.1:{admin}/metrics",
                i + 1
            );
        }
        println!("  Redis       {}", self.redis.url());
        println!("  Prometheus  http://127.0.0.1:{}/alerts\n", self.prometheus.port());
        println!("  curl -N 'http://127.0.0.1:{port}/sse?room=hello'");
        println!("  redis-cli -p {} PUBLISH room:hello 'hi there'\n", self.redis.port());
        println!("Ctrl-C ends all of it.");
    }

    /// Starts nodes again that have ended, until a signal comes.
    async fn look_after(&mut self) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            tokio::select! {
                result = tokio::signal::ctrl_c() => return Ok(result?),
                _ = terminate.recv() => return Ok(()),
                () = tokio::time::sleep(LOOK) => self.replace_ended()?,
            }
        }
    }

    fn replace_ended(&mut self) -> Result<()> {
        for i in 0..self.nodes.len() {
            if let Some(status) = self.nodes[i].ended()? {
                self.replace(i, status)?;
            }
        }
        Ok(())
    }

    fn replace(&mut self, i: usize, status: ExitStatus) -> Result<()> {
        let (node, name) = (&mut self.nodes[i], GATEWAYS[i].name);
        println!("{name} has ended ({status}); it is started again");
        if !status.success() {
            print!("{}", node.output());
        }
        let begin = Instant::now();
        *node = loop {
            match start_node(i, node.port(), node.admin_port(), &self.redis, &self.options) {
                Ok(node) => break node,
                Err(error) if begin.elapsed() > REPLACE_LIMIT => return Err(error),
                Err(error) => println!("{name} cannot be started yet: {error:#}"),
            }
            std::thread::sleep(REPLACE_EVERY);
        };
        self.write_state()
    }

    /// Assignments that a shell can read. The file is there only when everything is ready, and always whole.
    fn write_state(&self) -> Result<()> {
        let Some(file) = &self.options.state else { return Ok(()) };
        let list = |of: &dyn Fn(&Node) -> String| self.nodes.iter().map(of).collect::<Vec<_>>().join(",");
        let mut text = String::new();
        writeln!(text, "URL=http://127.0.0.1:{}", self.balancer.port())?;
        writeln!(text, "ADMIN_URLS={}", list(&|node| format!("http://127.0.0.1:{}", node.admin_port())))?;
        writeln!(text, "NODE_PIDS={}", list(&|node| node.pid().to_string()))?;
        writeln!(text, "REDIS_URL={}", self.redis.url())?;
        writeln!(text, "PROMETHEUS_URL=http://127.0.0.1:{}", self.prometheus.port())?;
        replace(file, &text).with_context(|| format!("cannot write {}", file.display()))
    }
}

fn start_node(i: usize, port: u16, admin_port: u16, redis: &Redis, options: &Options) -> Result<Node> {
    let binary = project_root().join("target/release/roomcast");
    let gateway = GATEWAYS[i];
    let config = gateway.file().to_string_lossy().into_owned();
    let url = redis.url();
    let mut arguments = vec!["--config", &config, "--redis", &url];
    arguments.extend(options.settings.iter().flat_map(|setting| ["--set", setting.as_str()]));
    Node::start_in(gateway.environment, &binary, port, admin_port, &arguments)
}

fn replace(file: &Path, text: &str) -> Result<()> {
    let new = file.with_extension("new");
    std::fs::write(&new, text)?;
    Ok(std::fs::rename(&new, file)?)
}

/// Builds the node that is run.
pub(crate) fn build() -> Result<()> {
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
