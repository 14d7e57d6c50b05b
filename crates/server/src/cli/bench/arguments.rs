//! Options of `roomcast bench`, and the plan that they make.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use roomcast_bench::load::plan::CONNECTIONS_PER_WORKER_MAX;
use roomcast_bench::load::process::Process;
use roomcast_bench::load::{Mode, Plan, PublishBy, Redis, Target, Transport};

use crate::cli::publish::Gateway;
use crate::config::span;

/// Handshakes that are under way at once where connecting is not what is measured.
const HANDSHAKES: usize = 64;
/// The same in a storm.
const HANDSHAKES_STORM: usize = 1024;

#[derive(Debug, Args)]
pub(super) struct Load {
    /// A server that runs already, such as http://127.0.0.1:8080; may be repeated. Without it a node is started
    #[arg(long, value_name = "URL", help_heading = "Server")]
    url: Vec<String>,
    /// Redis of the started nodes, and of publishers
    #[arg(long, value_name = "URL", help_heading = "Server")]
    pub(super) redis: Option<String>,
    /// How many nodes are started
    #[arg(long, default_value_t = 1, help_heading = "Server")]
    pub(super) nodes: usize,
    /// A setting of the started nodes, such as server.cores=1; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Server")]
    set: Vec<String>,
    /// Process of the server at --url, whose CPU time and memory are measured; may be repeated
    #[arg(long, value_name = "PID", help_heading = "Server")]
    pid: Vec<u32>,
    /// Another process that is only reported, such as redis=4712; may be repeated
    #[arg(long, value_name = "NAME=PID", help_heading = "Server")]
    watch: Vec<String>,
    /// Token of clients and publishers
    #[arg(long, help_heading = "Server")]
    token: Option<String>,

    /// How many clients
    #[arg(long, default_value_t = 1000, help_heading = "Clients")]
    connections: usize,
    /// How many rooms they are spread over
    #[arg(long, default_value_t = 1, help_heading = "Clients")]
    rooms: usize,
    /// How they connect
    #[arg(long, value_enum, default_value = "ws", help_heading = "Clients")]
    transport: TransportName,
    /// Processes that hold them. 0: as few as can
    #[arg(long, default_value_t = 0, help_heading = "Clients")]
    workers: usize,
    /// Clients that leave and are replaced each second; half of all take part
    #[arg(long, default_value_t = 0.0, value_name = "RATE", help_heading = "Clients")]
    churn: f64,
    /// Handshakes of each process that are under way at once [default: 64; in a storm 1024]
    #[arg(long, value_name = "COUNT", help_heading = "Clients")]
    handshakes: Option<usize>,
    /// What room names begin with; a number follows
    #[arg(long, default_value = "bench:", value_name = "PREFIX", help_heading = "Clients")]
    room_prefix: String,

    /// When messages are published, or connections made
    #[arg(long, value_enum, default_value = "rate", help_heading = "Messages")]
    mode: ModeName,
    /// Messages a second, all rooms together
    #[arg(long, default_value_t = 100.0, help_heading = "Messages")]
    rate: f64,
    /// With --mode ramp: messages a second at the end; it begins with --rate
    #[arg(long, default_value_t = 1000.0, value_name = "RATE", help_heading = "Messages")]
    rate_to: f64,
    /// With --mode closed: messages under way in each room
    #[arg(long, default_value_t = 32, value_name = "COUNT", help_heading = "Messages")]
    window: usize,
    /// With --mode storm: how often all come and go
    #[arg(long, default_value_t = 3, value_name = "COUNT", help_heading = "Messages")]
    cycles: usize,
    /// How long is published
    #[arg(long, default_value = "10s", help_heading = "Messages")]
    duration: String,
    /// Bytes of each message
    #[arg(long, default_value_t = 128, value_name = "BYTES", help_heading = "Messages")]
    size: usize,
    /// How messages are published [default: redis with --redis, else ws]
    #[arg(long, value_enum, value_name = "HOW", help_heading = "Messages")]
    publish_by: Option<PublishName>,
    /// Connections that publish
    #[arg(long, default_value_t = 1, help_heading = "Messages")]
    publishers: usize,
    /// What stands before a room's name in a Redis channel
    #[arg(long, default_value = "room:", value_name = "PREFIX", help_heading = "Messages")]
    channel_prefix: String,

    /// Write everything that was measured to a file
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(super) json: Option<PathBuf>,
    /// Write a page with charts, which needs nothing else
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub(super) html: Option<PathBuf>,
    /// No line each second
    #[arg(long, help_heading = "Report")]
    pub(super) quiet: bool,
    /// Exit with 1 if a message was lost, duplicated or out of order, or somebody turned away
    #[arg(long, help_heading = "Report")]
    pub(super) strict: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TransportName {
    /// WebSocket, raw mode
    Ws,
    /// WebSocket, JSON mode
    WsJson,
    /// Server-Sent Events over HTTP/1.1
    Sse,
    /// Long-poll; a started node keeps history for it
    Poll,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeName {
    /// --rate messages a second, whether the server keeps up or not
    Rate,
    /// From --rate to --rate-to messages a second
    Ramp,
    /// --window messages are always under way in each room
    Closed,
    /// Nothing is published
    Idle,
    /// All connect as fast as they can, and leave; --cycles times
    Storm,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PublishName {
    /// PUBLISH to Redis
    Redis,
    /// FCALL roomcast_publish to Redis, with history
    Fcall,
    /// WebSocket in JSON mode
    Ws,
    /// POST /rooms/ROOM/messages
    Http,
}

impl Load {
    /// The plan; without targets if nodes are to be started.
    pub(super) fn plan(&self) -> Result<Plan> {
        let duration = span(&self.duration).filter(|duration| *duration > Duration::ZERO);
        let mode = match self.mode {
            ModeName::Rate => Mode::Rate { per_second: self.rate },
            ModeName::Ramp => Mode::Ramp { from: self.rate, to: self.rate_to },
            ModeName::Closed => Mode::Closed { window: self.window },
            ModeName::Idle => Mode::Idle,
            ModeName::Storm => Mode::Storm { cycles: self.cycles },
        };
        let storm = matches!(mode, Mode::Storm { .. });
        let fewest = self.connections.div_ceil(CONNECTIONS_PER_WORKER_MAX).max(1);
        let plan = Plan {
            targets: self.url.iter().map(|url| target(url)).collect::<Result<_>>()?,
            redis: self.redis.as_deref().map(redis).transpose()?,
            transport: self.transport.into(),
            publish: self.publish_by()?,
            mode,
            connections: self.connections,
            rooms: self.rooms,
            publishers: self.publishers,
            duration: duration.context("--duration must be a time with its unit, such as 10s or 2m")?,
            payload_bytes: self.size,
            room_prefix: self.room_prefix.clone(),
            channel_prefix: self.channel_prefix.clone(),
            workers: if self.workers == 0 { fewest } else { self.workers },
            handshakes_max: self
                .handshakes
                .unwrap_or(if storm { HANDSHAKES_STORM } else { HANDSHAKES })
                .max(1),
            churn_per_second: self.churn,
            token: self.token.clone(),
            run: fastrand::u32(..),
        };
        if let Err(wrong) = plan.check() {
            bail!("{wrong}");
        }
        Ok(plan)
    }

    fn publish_by(&self) -> Result<PublishBy> {
        let is_poll = matches!(self.transport, TransportName::Poll);
        let by = match (self.publish_by, &self.redis) {
            (Some(PublishName::Redis), _) => PublishBy::Redis,
            (Some(PublishName::Fcall), _) => PublishBy::Function,
            (Some(PublishName::Ws), _) | (None, None) => PublishBy::WebSocket,
            (Some(PublishName::Http), _) => PublishBy::Http,
            (None, Some(_)) if is_poll => PublishBy::Function,
            (None, Some(_)) => PublishBy::Redis,
        };
        if is_poll && by == PublishBy::Redis {
            bail!(
                "long-poll lives on history, which a plain PUBLISH does not reach: --publish-by fcall, ws or http"
            );
        }
        Ok(by)
    }

    /// Settings of started nodes.
    pub(super) fn settings(&self, plan: &Plan) -> Vec<String> {
        let mut settings = Vec::new();
        let namespace = self.room_prefix.split_once(':').map(|(namespace, _)| namespace);
        if let (Transport::Poll, Some(namespace)) = (plan.transport, namespace) {
            settings.push(format!("namespaces.{namespace}.history=1000"));
        }
        settings.extend(self.set.iter().cloned());
        settings
    }

    /// Processes that are watched.
    pub(super) fn processes(&self) -> Result<Vec<Process>> {
        let servers =
            self.pid.iter().map(|pid| Ok(Process { name: "server".to_owned(), pid: *pid, is_server: true }));
        let others = self.watch.iter().map(|word| {
            let (name, pid) =
                word.split_once('=').with_context(|| format!("--watch {word}: it is NAME=PID"))?;
            let pid = pid.parse().with_context(|| format!("--watch {word}: {pid} is no process id"))?;
            Ok(Process { name: name.to_owned(), pid, is_server: false })
        });
        servers.chain(others).collect()
    }
}

fn target(url: &str) -> Result<Target> {
    let authority = Gateway::parse(url)?.authority;
    let with_port = if authority.contains(':') { authority.clone() } else { format!("{authority}:80") };
    Ok(Target { address: resolve(&with_port)?, authority })
}

/// `redis://[[user:]password@]host[:port]`.
fn redis(url: &str) -> Result<Redis> {
    let rest = url.strip_prefix("redis://");
    let rest =
        rest.with_context(|| format!("{url:?} is not a URL such as redis://127.0.0.1:6379, without TLS"))?;
    let rest = rest.split('/').next().unwrap_or_default();
    let (auth, host) = match rest.rsplit_once('@') {
        Some((auth, host)) => (Some(auth.split_once(':').unwrap_or(("", auth))), host),
        None => (None, rest),
    };
    let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:6379") };
    let auth = auth.map(|(user, password)| (user.to_owned(), password.to_owned()));
    Ok(Redis { address: resolve(&with_port)?, auth })
}

fn resolve(host: &str) -> Result<SocketAddr> {
    let found = host.to_socket_addrs().with_context(|| format!("{host} is not found"))?.next();
    found.with_context(|| format!("{host} has no address"))
}

impl From<TransportName> for Transport {
    fn from(name: TransportName) -> Self {
        match name {
            TransportName::Ws => Self::WsRaw,
            TransportName::WsJson => Self::WsJson,
            TransportName::Sse => Self::Sse,
            TransportName::Poll => Self::Poll,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let here = SocketAddr::from(([127, 0, 0, 1], 6379));
        assert_eq!(redis("redis://127.0.0.1").unwrap(), Redis { address: here, auth: None });
        let auth = |url| redis(url).unwrap().auth.unwrap();
        assert_eq!(auth("redis://:secret@127.0.0.1:6379/0"), (String::new(), "secret".to_owned()));
        assert_eq!(auth("redis://me:secret@127.0.0.1"), ("me".to_owned(), "secret".to_owned()));
        assert!(redis("rediss://127.0.0.1").unwrap_err().to_string().contains("without TLS"));
        assert_eq!(target("http://127.0.0.1").unwrap().address.port(), 80);
    }
}
