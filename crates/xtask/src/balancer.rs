//! Load balancers in front of nodes, with the configurations of the folder `deploy/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use rustix::process::Signal;

use crate::process::{Daemon, ScratchFolder, free_port, scratch_folder, wait_until};

/// Which program balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `deploy/haproxy/haproxy.cfg`
    Haproxy,
    /// `deploy/nginx/nginx.conf`
    Nginx,
}

/// A running load balancer.
#[derive(Debug)]
pub struct Balancer {
    // Ends before its folder does.
    daemon: Daemon,
    _folder: ScratchFolder,
    port: u16,
}

impl Balancer {
    /// Starts a balancer on a free port in front of these nodes, given as public and admin ports.
    pub fn start(kind: Kind, nodes: &[(u16, u16)]) -> Result<Self> {
        Self::start_on(kind, free_port(), nodes)
    }

    /// Starts a balancer on a given port.
    pub fn start_on(kind: Kind, port: u16, nodes: &[(u16, u16)]) -> Result<Self> {
        Self::start_with(kind, port, &configuration(kind, port, nodes)?)
    }

    /// Starts a balancer with a configuration of one's own, which listens on this port.
    pub fn start_with(kind: Kind, port: u16, configuration: &str) -> Result<Self> {
        let folder = scratch_folder("balancer")?;
        let name = match kind {
            Kind::Haproxy => "haproxy",
            Kind::Nginx => "nginx",
        };
        let config = folder.join(name);
        std::fs::write(&config, configuration)?;
        let mut command = match kind {
            Kind::Haproxy => {
                let mut command = Command::new(program("haproxy"));
                // A master that stays in front, and a worker, as in its container image: so it can be reloaded.
                command.args(["-W", "-db", "-f"]).arg(&config);
                command
            }
            Kind::Nginx => {
                let mut command = Command::new(program("nginx"));
                command
                    .args(["-g", "daemon off; master_process off;"])
                    .arg("-p")
                    .arg(&*folder)
                    .arg("-c")
                    .arg(&config);
                command.args(["-e", "stderr"]);
                command
            }
        };
        let mut daemon = Daemon::start(name, &mut command, &folder)?;
        daemon.wait_for_port(port)?;
        Ok(Self { daemon, _folder: folder, port })
    }

    /// Has haproxy replace its worker by its own reload, and waits until the old one has ended: its streams are cut
    /// when the configuration's `hard-stop-after` is over.
    pub fn reload(&self) -> Result<()> {
        let ended = || self.daemon.output().matches("exited with code").count();
        let before = ended();
        self.daemon.signal(Signal::USR2)?;
        wait_until("the old worker has ended", || ended() > before);
        Ok(())
    }

    /// The port that clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The configuration of the folder `deploy/`, for nodes of this machine.
pub fn configuration(kind: Kind, port: u16, nodes: &[(u16, u16)]) -> Result<String> {
    let file = match kind {
        Kind::Haproxy => "deploy/haproxy/haproxy.cfg",
        Kind::Nginx => "deploy/nginx/nginx.conf",
    };
    let text =
        std::fs::read_to_string(project_root().join(file)).with_context(|| format!("cannot read {file}"))?;
    for_this_machine(&text, port, nodes)
}

/// The configurations are written for containers: they listen on 8000 and know the nodes as
/// `gateway1:8080` (public) and `gateway1:9090` (admin). Here the addresses are those of processes.
fn for_this_machine(text: &str, port: u16, nodes: &[(u16, u16)]) -> Result<String> {
    let mut out = text
        .replace("*:8000", &format!("127.0.0.1:{port}"))
        .replace("listen 8000", &format!("listen 127.0.0.1:{port}"));
    for (i, (public, admin)) in nodes.iter().enumerate() {
        let name = format!("gateway{}", i + 1);
        if !out.contains(&format!("{name}:8080")) {
            bail!("the configuration has no {name}; it is for three nodes");
        }
        out = out.replace(&format!("{name}:8080"), &format!("127.0.0.1:{public}"));
        out = out.replace(&format!("{name} port 9090"), &format!("127.0.0.1 port {admin}"));
        out = out.replace(&format!("check port 9090 # {name}"), &format!("check port {admin}"));
    }
    // Names that only the containers' DNS knows.
    Ok(out.lines().filter(|line| !line.contains("containers only")).collect::<Vec<_>>().join("\n") + "\n")
}

/// Debian keeps servers where the search path of users does not lead.
fn program(name: &str) -> PathBuf {
    let sbin = Path::new("/usr/sbin").join(name);
    if sbin.exists() { sbin } else { PathBuf::from(name) }
}

/// The root of the repository.
pub fn project_root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder).to_owned()
}
