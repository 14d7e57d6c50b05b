//! Prometheus, with the configuration and the rules of the folder `deploy/`.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::balancer::project_root;
use crate::process::{Daemon, ScratchFolder, free_port, http_status, scratch_folder, wait_until};

/// Where configuration and rules are, below the project's root.
pub const FOLDER: &str = "deploy/prometheus";
/// With what it runs, here and in containers, besides where its files are. k6 writes to it.
pub const FLAGS: [&str; 1] = ["--web.enable-remote-write-receiver"];

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    // Ends before its folder does.
    daemon: Daemon,
    _folder: ScratchFolder,
    port: u16,
}

impl Prometheus {
    /// Starts a server on a free port that asks these nodes, given by their admin ports, once a second.
    pub fn start(admin_ports: &[u16]) -> Result<Self> {
        Self::start_every(free_port(), admin_ports, "1s")
    }

    /// Starts a server on a given port, as often as its configuration says.
    pub fn start_on(port: u16, admin_ports: &[u16]) -> Result<Self> {
        Self::start_every(port, admin_ports, "5s")
    }

    fn start_every(port: u16, admin_ports: &[u16], interval: &str) -> Result<Self> {
        let folder = scratch_folder("prometheus")?;
        let from = project_root().join(FOLDER);
        let mut config = std::fs::read_to_string(from.join("prometheus.yml"))?;
        for (i, admin_port) in admin_ports.iter().enumerate() {
            let address = format!("gateway{}:9090", i + 1);
            if !config.contains(&address) {
                bail!("{FOLDER}/prometheus.yml has no {address}; it is for three nodes");
            }
            config = config.replace(&address, &format!("127.0.0.1:{admin_port}"));
        }
        config = config.replace("_interval: 5s", &format!("_interval: {interval}"));
        std::fs::write(folder.join("prometheus.yml"), config)?;
        std::fs::copy(from.join("roomcast.rules.yml"), folder.join("roomcast.rules.yml"))?;
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn")
            .args(FLAGS);
        let mut daemon = Daemon::start("prometheus", &mut command, &folder)?;
        daemon.wait_for_port(port)?;
        wait_until("Prometheus is ready", || http_status(port, "/-/ready") == Some(200));
        Ok(Self { daemon, _folder: folder, port })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everything that it has printed.
    pub fn output(&self) -> String {
        self.daemon.output()
    }

    /// The answer to a query, as JSON.
    pub fn query(&self, expression: &str) -> Result<String> {
        self.ask("query", &[("query", expression)])
    }

    /// The numbers that a query gives; none where there are none, or nothing but NaN and infinities.
    pub fn data(&self, expression: &str) -> Result<Option<Vec<f64>>> {
        let answer: Value = serde_json::from_str(&self.query(expression)?)?;
        let samples = answer["data"]["result"].as_array();
        let samples = samples.with_context(|| format!("{expression}: {answer}"))?;
        let values = samples.iter().filter_map(|sample| sample["value"][1].as_str()?.parse().ok());
        let values: Vec<f64> = values.filter(|value: &f64| value.is_finite()).collect();
        Ok((!values.is_empty()).then_some(values))
    }

    /// The answer of another part of its API, such as `rules` or `targets`.
    pub fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let mut curl = Command::new("curl");
        curl.args(["-q", "-sS", "--noproxy", "*", "--max-time", "30", "--get"]);
        for (name, value) in parameters {
            curl.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        curl.arg(format!("http://127.0.0.1:{}/api/v1/{what}", self.port));
        let output = curl.output().context("cannot run curl")?;
        if !output.status.success() {
            bail!("Prometheus does not answer: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}
