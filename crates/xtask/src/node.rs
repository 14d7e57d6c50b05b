//! Gateway nodes of the binary under test.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;

use crate::process::{Daemon, ScratchFolder, free_port, http_status, scratch_folder, wait_until};

/// A running node.
#[derive(Debug)]
pub struct Node {
    daemon: Daemon,
    port: u16,
    admin_port: u16,
    _folder: ScratchFolder,
}

impl Node {
    /// Starts `binary` on free ports with further arguments, such as `["--redis", url]`, and waits
    /// until it is ready.
    pub fn start(binary: impl AsRef<Path>, arguments: &[&str]) -> Result<Self> {
        let node = Self::start_unready(binary, arguments)?;
        node.wait_until_ready();
        Ok(node)
    }

    /// Starts a node and waits only until it listens.
    pub fn start_unready(binary: impl AsRef<Path>, arguments: &[&str]) -> Result<Self> {
        Self::start_on(binary, free_port(), free_port(), arguments)
    }

    /// Starts a node on given ports and waits until it listens.
    pub fn start_on(
        binary: impl AsRef<Path>,
        port: u16,
        admin_port: u16,
        arguments: &[&str],
    ) -> Result<Self> {
        Self::start_in(&[], binary, port, admin_port, arguments)
    }

    /// The same with environment variables.
    pub fn start_in(
        environment: &[(&str, &str)],
        binary: impl AsRef<Path>,
        port: u16,
        admin_port: u16,
        arguments: &[&str],
    ) -> Result<Self> {
        let folder = scratch_folder("node")?;
        let mut command = Command::new(binary.as_ref());
        command
            .current_dir(&*folder)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(["--admin-listen", &format!("127.0.0.1:{admin_port}")])
            .args(arguments)
            .envs(environment.iter().copied());
        let mut daemon = Daemon::start("roomcast", &mut command, &folder)?;
        daemon.wait_for_port(port)?;
        daemon.wait_for_port(admin_port)?;
        Ok(Self { daemon, port, admin_port, _folder: folder })
    }

    /// Waits until `/readyz` answers 200.
    pub fn wait_until_ready(&self) {
        wait_until("the node is ready", || self.is_ready());
    }

    /// Whether `/readyz` answers 200 now.
    pub fn is_ready(&self) -> bool {
        http_status(self.admin_port, "/readyz") == Some(200)
    }

    /// The public port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The admin port.
    pub fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// Everything that it has printed and logged.
    pub fn output(&self) -> String {
        self.daemon.output()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.daemon.signal(signal)
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.daemon.ended()
    }

    /// Waits for it to end.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.daemon.wait(limit)
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// The sum of all samples of a metric whose labels contain `label`.
    pub fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let text = crate::process::http_get(self.admin_port, "/metrics")?;
        let samples: Vec<f64> = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter(|line| line.contains(label))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse().ok())
            .collect();
        if samples.is_empty() {
            bail!("there is no metric {name} with {label:?}");
        }
        Ok(samples.iter().sum())
    }

    /// Open file descriptors of the process.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count())
    }

    /// Resident memory of the process, in KiB.
    pub fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.ok_or_else(|| anyhow::anyhow!("no VmRSS in /proc"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Tests that want to see a node drain do it themselves.
        self.daemon.kill();
    }
}
