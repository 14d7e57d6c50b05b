//! Servers that the load generator starts itself, on free ports of the loopback address.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::plan::Target;

/// How long a node may take to become ready.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A node, or the floor; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    /// What a node prints, until it is ready.
    log: Option<PathBuf>,
}

impl Server {
    /// Starts `program bench node`, which is `program serve` that ends with this process, without limits on how much a client may send and how fast clients may come, and waits
    /// until it is ready.
    pub fn node(program: &Path, redis: Option<&str>, settings: &[String]) -> Result<Self> {
        let (port, admin_port) = (free_port()?, free_port()?);
        let log = std::env::temp_dir().join(format!("roomcast-bench-{}-{port}.log", std::process::id()));
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program);
        command
            .args(["bench", "node"])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--admin-listen", &format!("127.0.0.1:{admin_port}")])
            .args(["--set", "limits.messages_per_second=0", "--set", "limits.bytes_per_second=0"])
            .args(["--set", "limits.handshakes_per_second=0", "--set", "log.level=warn"])
            .args(redis.iter().flat_map(|url| ["--redis", url]))
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            // Neither a configuration file nor variables of whoever measures change what is measured.
            .current_dir(std::env::temp_dir())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut node = Self { child, address, log: Some(log) };
        node.wait_until_ready(admin_port)?;
        // Only a failing start is explained by it; without a name, it goes with the node, whatever ends that.
        if let Some(log) = node.log.take() {
            let _ = std::fs::remove_file(log);
        }
        Ok(node)
    }

    /// Starts `program bench floor-server`, which may write several messages at once.
    pub fn floor(program: &Path, merges: bool) -> Result<Self> {
        let mut child = Command::new(program)
            .args(["bench", "floor-server"])
            .args(merges.then_some("--merge"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let port: Option<u16> = line.trim().strip_prefix("listening on ").and_then(|port| port.parse().ok());
        let mut floor = Self { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), log: None };
        floor.address.set_port(port.context("the floor did not start; its last words are above")?);
        // `floor` ends the process if there was no port.
        Ok(floor)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where clients connect.
    pub fn target(&self) -> Target {
        Target { address: self.address, authority: self.address.to_string() }
    }

    fn wait_until_ready(&mut self, admin_port: u16) -> Result<()> {
        let begin = Instant::now();
        loop {
            let answer = crate::request(admin_port, "GET", "/readyz", &[], b"");
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the node ended with {status}:\n{}", self.last_words());
            }
            if begin.elapsed() > START_PATIENCE {
                bail!("the node is not ready after {START_PATIENCE:?}:\n{}", self.last_words());
            }
            sleep(Duration::from_millis(20));
        }
    }

    fn last_words(&self) -> String {
        self.log.as_ref().and_then(|log| std::fs::read_to_string(log).ok()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(log) = &self.log {
            let _ = std::fs::remove_file(log);
        }
    }
}

/// A free port below those that the kernel gives to connections.
fn free_port() -> Result<u16> {
    for _ in 0..1000 {
        let port = fastrand::u16(10_000..30_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("there is no free port between 10000 and 30000 on 127.0.0.1")
}
