//! An example of `docs/examples` as it is run: Redis, two nodes with the example's configuration, its backend, and nginx, which
//! serves its page. `cargo xtask example` starts it for somebody to look at, and the tests for a browser.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::balancer::{Balancer, Kind, project_root};
use crate::process::{Daemon, ScratchFolder, kill_with_descendants, scratch_folder};
use crate::{Node, Redis, foreign, javascript};

/// Where the examples are, below the project's root.
const FOLDER: &str = "docs/examples";
/// What all pages share.
const SHARED: &str = "shared";
/// A backend's file, by its language.
const BACKENDS: [&str; 3] = ["backend.js", "backend.py", "backend.sh"];
/// Ports that are written in `docs/examples/nginx.conf` and `README.md`: what browsers connect to, and the backend.
const PAGE_PORT: u16 = 8080;
const BACKEND_PORT: u16 = 8090;
const REDIS_PORT: u16 = 6379;
/// The nodes: name, public port, admin port.
const NODES: [(&str, u16, u16); 2] = [("one", 8081, 9091), ("two", 8082, 9092)];
/// Bytes of the secret that tokens are signed with.
const SECRET_BYTES: usize = 32;

/// A running example. What it has started ends with it.
#[derive(Debug)]
pub struct Example {
    name: String,
    backend: Backend,
    server: Balancer,
    nodes: Vec<Node>,
    redis: Redis,
    settings: Settings,
    log: PathBuf,
    _folder: ScratchFolder,
}

/// What nodes are started with.
#[derive(Debug)]
struct Settings {
    binary: PathBuf,
    config: String,
    redis_url: String,
    secret: String,
}

/// A backend and, where it is a shell script, what that has started.
#[derive(Debug)]
struct Backend(Daemon);

impl Drop for Backend {
    fn drop(&mut self) {
        if matches!(self.0.ended(), Ok(None)) {
            kill_with_descendants(self.0.pid());
        }
    }
}

/// The names of all examples, in alphabetical order.
pub fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(project_root().join(FOLDER))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && name != SHARED {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The backend of an example.
pub fn backend_file(name: &str) -> Result<PathBuf> {
    let names = names()?;
    if !names.iter().any(|known| known == name) {
        bail!("there is no example {name}; there are {}", names.join(", "));
    }
    let folder = project_root().join(FOLDER).join(name);
    let found = BACKENDS.iter().map(|file| folder.join(file)).find(|file| file.exists());
    found.with_context(|| format!("{FOLDER}/{name} has none of {}", BACKENDS.join(", ")))
}

impl Example {
    /// Starts all of it with nodes of `binary`. `port` chooses the port for each of those that are documented.
    pub fn start(binary: &Path, name: &str, port: impl Fn(u16) -> u16) -> Result<Self> {
        let file = backend_file(name)?;
        let folder = scratch_folder("example")?;
        let redis = Redis::start_on(port(REDIS_PORT), &[])?;
        let config = project_root().join(FOLDER).join(name).join("roomcast.toml");
        let settings = Settings {
            binary: binary.to_owned(),
            config: config.to_string_lossy().into_owned(),
            redis_url: redis.url(),
            secret: secret()?,
        };
        let mut nodes = Vec::new();
        for (name, public, admin) in NODES {
            nodes.push(settings.start(name, port(public), port(admin))?);
        }
        // The nodes have brought Redis the functions that backends call.
        nodes.iter().for_each(Node::wait_until_ready);
        let log = folder.join("access.log");
        let (page_port, backend_port) = (port(PAGE_PORT), port(BACKEND_PORT));
        javascript::prepare()?;
        let configuration = configuration(page_port, backend_port, &nodes, &log)?;
        let server = Balancer::start_with(Kind::Nginx, page_port, &configuration)?;
        let mut command = foreign::prepare()?.program(&file)?;
        command.env("REDIS_URL", redis.url()).env("JWT_SECRET", &settings.secret);
        command.env("PORT", backend_port.to_string()).env("LOG_FILE", &log);
        let backend = Backend(Daemon::start("backend", &mut command, &folder)?);
        Ok(Self { name: name.to_owned(), backend, server, nodes, redis, settings, log, _folder: folder })
    }

    /// Where its page is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/{}/", self.server.port(), self.name)
    }

    /// Its nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Its Redis.
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// The access log of what serves its page.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Kills a node as a crash would, starts it again and waits until it is ready.
    pub fn restart_node(&mut self, n: usize) -> Result<()> {
        let (name, ..) = NODES[n];
        let (port, admin_port) = (self.nodes[n].port(), self.nodes[n].admin_port());
        self.nodes[n].kill();
        self.nodes[n] = self.settings.start(name, port, admin_port)?;
        self.nodes[n].wait_until_ready();
        Ok(())
    }

    /// An error, with what it has printed, where a part of it has ended.
    pub fn check(&mut self) -> Result<()> {
        if let Some(status) = self.backend.0.ended()? {
            bail!("the backend has ended with {status}:\n{}", self.backend.0.output());
        }
        for (node, (name, ..)) in self.nodes.iter_mut().zip(NODES) {
            if let Some(status) = node.ended()? {
                bail!("node {name} has ended with {status}:\n{}", node.output());
            }
        }
        Ok(())
    }

    /// What backend and nodes have printed.
    pub fn output(&self) -> String {
        let mut text = format!("backend:\n{}", self.backend.0.output());
        for (node, (name, ..)) in self.nodes.iter().zip(NODES) {
            // Writing to a String does not fail.
            let _ = write!(text, "\nnode {name}:\n{}", node.output());
        }
        text
    }
}

impl Settings {
    fn start(&self, name: &str, port: u16, admin_port: u16) -> Result<Node> {
        let name = format!("node.name={name}");
        let arguments = ["--config", &self.config, "--redis", &self.redis_url, "--set", &name];
        Node::start_in(&[("JWT_SECRET", &self.secret)], &self.binary, port, admin_port, &arguments)
    }
}

/// A secret of this run.
fn secret() -> Result<String> {
    let mut bytes = [0; SECRET_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes).context("there is no randomness")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `docs/examples/nginx.conf` with these ports, and with its paths from where they are.
fn configuration(page: u16, backend: u16, nodes: &[Node], log: &Path) -> Result<String> {
    let file = project_root().join(FOLDER).join("nginx.conf");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let root = project_root();
    let in_root = |path: &str| format!("{}/{path}", root.display());
    let address = |port: u16| format!("127.0.0.1:{port}");
    let mut replacements = vec![
        (address(PAGE_PORT), address(page)),
        (address(BACKEND_PORT), address(backend)),
        ("../docs/examples".to_owned(), in_root("docs/examples")),
        ("../clients/javascript".to_owned(), in_root("clients/javascript")),
        ("access.log".to_owned(), log.to_string_lossy().into_owned()),
        // The harness gives these on the command line.
        ("daemon off;\nmaster_process off;\n".to_owned(), String::new()),
    ];
    replacements
        .extend(nodes.iter().zip(NODES).map(|(node, (_, port, _))| (address(port), address(node.port()))));
    let mut out = text;
    for (from, to) in replacements {
        if !out.contains(&from) {
            bail!("{} does not say {from}", file.display());
        }
        out = out.replace(&from, &to);
    }
    Ok(out)
}
