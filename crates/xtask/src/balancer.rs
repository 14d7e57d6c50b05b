//! Load balancers in front of nodes, with the configurations of the folder `deploy/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use rustix::process::Signal;

use crate::process::{Daemon, ScratchFolder, free_port, scratch_folder, wait_until};
use crate::python;

/// Which program balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `deploy/haproxy/haproxy.cfg`
    Haproxy,
    /// `deploy/nginx/nginx.conf`
    Nginx,
    /// `deploy/envoy/envoy.yaml`
    Envoy,
    /// `deploy/caddy/Caddyfile`
    Caddy,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Haproxy, Self::Nginx, Self::Envoy, Self::Caddy];

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
            Self::Caddy => "caddy",
        }
    }

    /// Its configuration, below the project's root.
    pub fn file(self) -> &'static str {
        match self {
            Self::Haproxy => "deploy/haproxy/haproxy.cfg",
            Self::Nginx => "deploy/nginx/nginx.conf",
            Self::Envoy => "deploy/envoy/envoy.yaml",
            Self::Caddy => "deploy/caddy/Caddyfile",
        }
    }

    /// The program, told to run in the foreground with this configuration.
    fn command(self, config: &Path, folder: &Path) -> Result<Command> {
        let mut command = match self {
            // Published as a Python package, whose program becomes Envoy (execve).
            Self::Envoy => python::tools()?.program("envoy"),
            _ => Command::new(program(self.name())),
        };
        match self {
            // A master that stays in front, and a worker, as in its container image: so it can be reloaded.
            Self::Haproxy => command.args(["-W", "-db", "-f"]).arg(config),
            Self::Nginx => {
                command.args(["-g", "daemon off; master_process off;", "-e", "stderr"]);
                command.arg("-p").arg(folder).arg("-c").arg(config)
            }
            Self::Envoy => {
                command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"]);
                command.arg("-c").arg(config)
            }
            Self::Caddy => {
                // Its own state, which is none of the user's.
                command.env("XDG_CONFIG_HOME", folder).env("XDG_DATA_HOME", folder).env("HOME", folder);
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config)
            }
        };
        Ok(command)
    }
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
        // Envoy tells the format by the extension.
        let config = folder.join(Path::new(kind.file()).file_name().unwrap_or_default());
        std::fs::write(&config, configuration)?;
        let mut daemon = Daemon::start(kind.name(), &mut kind.command(&config, &folder)?, &folder)?;
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

/// The configuration of `deploy/` for a balancer on this machine.
pub fn configuration(kind: Kind, port: u16, nodes: &[(u16, u16)]) -> Result<String> {
    let file = kind.file();
    let text =
        std::fs::read_to_string(project_root().join(file)).with_context(|| format!("cannot read {file}"))?;
    for_this_machine(&text, port, nodes)
}

/// The configurations are written for containers: they listen on 8000 and know the nodes as
/// `gateway1:8080` (public) and `gateway1:9090` (admin). Here the addresses are those of processes.
fn for_this_machine(text: &str, port: u16, nodes: &[(u16, u16)]) -> Result<String> {
    let mut out = text
        .replace("*:8000", &format!("127.0.0.1:{port}"))
        .replace("listen 8000", &format!("listen 127.0.0.1:{port}"))
        .replace("\n:8000 {", &format!("\nhttp://:{port} {{\n\tbind 127.0.0.1"))
        .replace("address: 0.0.0.0, port_value: 8000", &format!("address: 127.0.0.1, port_value: {port}"));
    for (i, (public, admin)) in nodes.iter().enumerate() {
        let name = format!("gateway{}", i + 1);
        if ![format!("{name}:8080"), format!("{name}, port_value: 8080")]
            .iter()
            .any(|node| out.contains(node))
        {
            bail!("the configuration has no {name}; it is for three nodes");
        }
        for (from, to) in [
            (format!("{name}:8080"), format!("127.0.0.1:{public}")),
            (format!("{name}, port_value: 8080"), format!("127.0.0.1, port_value: {public}")),
            (format!("check port 9090 # {name}"), format!("check port {admin}")),
            (format!("{{ port_value: 9090 }} # {name}"), format!("{{ port_value: {admin} }}")),
        ] {
            out = out.replace(&from, &to);
        }
    }
    // Where processes on one machine cannot have what containers have.
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
