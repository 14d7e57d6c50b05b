//! A node: wiring, from the configuration to the last connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow};
use arc_swap::ArcSwap;
use roomcast_broker::{Broker, EventSender, MemoryBroker, NodeInfo, SharedRetention, event_queue};
use roomcast_broker_redis::{RedisBroker, RedisConfig};
use roomcast_hub::stats::ShardStats;
use roomcast_hub::{HubStatus, Router, SHARDS_MAX, queues};
use roomcast_protocol::NodeId;
use roomcast_session::auth::{Access, Authenticator};
use roomcast_session::{CoreShared, Settings, Tracer};
use roomcast_transport::{Acceptor, BindError, Gate, HttpSettings, Load, core_queue, placement};
use tokio::runtime::RuntimeMetrics;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::{Admin, Api, Metrics, Source};
use crate::certificates::Renewal;
use crate::config::{Config, ConfigError, JwksConfig};
use crate::cores::{self, Errands, Own, Shared, Started, Thread};
use crate::descriptors;
use crate::health::Health;
use crate::jwks;
use crate::log::LineLimit;
use crate::otlp::{self, SpanCounts};
use crate::share::Share;
use crate::shutdown::{Signals, Wish};
use crate::vital::Vital;

/// How long connections may take to end after the drain window, and after being made to leave.
const END_LIMIT: Duration = Duration::from_secs(5);

/// Reads the configuration again, for SIGHUP.
pub(crate) type Reload = Box<dyn Fn() -> Result<Config, Vec<ConfigError>>>;

/// What can be replaced while the node runs.
struct Replaceable {
    settings: Arc<ArcSwap<Settings>>,
    http: Arc<ArcSwap<HttpSettings>>,
    retention: SharedRetention,
    authenticator: Arc<Authenticator>,
    jwks: watch::Sender<Option<JwksConfig>>,
    certificates: Option<Arc<Renewal>>,
    admin_certificates: Option<Arc<Renewal>>,
}

impl Replaceable {
    fn replace(&self, config: Config) {
        self.retention.store(Arc::new(config.session.namespaces.retention()));
        self.settings.store(Arc::new(config.session));
        self.http.store(Arc::new(config.http));
        self.authenticator.replace(&config.auth.access);
        // Keys are fetched anew only where something about it has changed.
        self.jwks
            .send_if_modified(|old| std::mem::replace(old, config.auth.jwks.clone()) != config.auth.jwks);
        let listeners = [(&self.certificates, config.tls), (&self.admin_certificates, config.admin_tls)];
        for (renewal, files) in listeners {
            if let (Some(renewal), Some(files)) = (renewal, files) {
                renewal.replace(files);
            }
        }
    }
}

/// Runs a node until it is told to end.
pub(crate) fn serve(config: Config, reload: &Reload, lines: Arc<LineLimit>) -> Result<()> {
    let runtime = cores::runtime().context("cannot start")?;
    runtime.block_on(run(with_node_name(config), reload, lines))
}

async fn run(config: Config, reload: &Reload, lines: Arc<LineLimit>) -> Result<()> {
    tokio::spawn(Arc::clone(&lines).tell());
    let mut signals = Signals::new().context("cannot listen to signals")?;
    let connections_max = descriptors::connections_max(config.connections_max, descriptors::raise());
    let certificates = Renewal::start("public", config.tls.as_ref())?;
    let admin_certificates = Renewal::start("admin", config.admin_tls.as_ref())?;
    let gate = Arc::new(Gate::new(certificates.as_ref().map(|renewal| renewal.tls())));
    let admin_tls = admin_certificates.as_ref().map(|renewal| renewal.tls());
    let acceptor = Acceptor::bind(config.listen).map_err(|e| bind_error(&e, "--listen"))?;
    let admin = Admin::bind(config.admin_listen).await.map_err(|e| bind_error(&e, "--admin-listen"))?;
    let (address, admin_address) = (acceptor.address(), admin.address());

    let started = Instant::now();
    let node = NodeId(fastrand::u64(1..));
    let (events, event_receiver) = event_queue();
    let weak_events = events.downgrade();
    let retention = Arc::new(ArcSwap::from_pointee(config.session.namespaces.retention()));
    let name = config.session.node.clone();
    let info = NodeInfo { id: node, name: name.clone() };
    let (broker, driver) = broker(&config, info, events, Arc::clone(&retention));
    let hub = Arc::new(HubStatus::default());
    let count = core_count(config.cores);
    let (router_queues, shard_queues) = queues(count);
    let inboxes = router_queues.inboxes();
    let router = Router::new(Arc::clone(&broker), event_receiver, router_queues, Arc::clone(&hub));
    let cluster = Box::pin(async move {
        tokio::join!(driver, router.run());
    });
    let mut threads = Vec::new();
    let mut on_a_core = None;
    match cores::start_cluster(config.cluster_thread, count, cluster)? {
        Started::OnItsOwn(thread) => threads.push(thread),
        Started::ForACore(cluster) => on_a_core = Some(cluster),
    }

    let replaceable = Replaceable {
        settings: Arc::new(ArcSwap::from_pointee(config.session.clone())),
        http: Arc::new(ArcSwap::from_pointee(config.http.clone())),
        retention,
        authenticator: Arc::new(Authenticator::new(config.auth.access.clone())),
        jwks: watch::Sender::new(config.auth.jwks.clone()),
        certificates,
        admin_certificates,
    };
    let mut vital = Vital::default();
    vital.spawn(jwks::run(Arc::clone(&replaceable.authenticator), replaceable.jwks.subscribe()));
    let span_counts = Arc::<SpanCounts>::default();
    let (tracer, collecting) = tracer(&config, &span_counts)?;
    let core = CoreShared {
        tracer,
        node,
        broker: Arc::clone(&broker),
        hub: Arc::clone(&hub),
        settings: Arc::clone(&replaceable.settings),
        authenticator: Arc::clone(&replaceable.authenticator),
        users: Arc::default(),
    };
    let users = Arc::clone(&core.users);
    let loads: Vec<Arc<Load>> = (0..count).map(|_| Arc::default()).collect();
    let (core_queues, incoming): (Vec<_>, Vec<_>) =
        loads.iter().map(|load| core_queue(Arc::clone(load))).unzip();
    let shared = Shared {
        core,
        started,
        http: Arc::clone(&replaceable.http),
        gate: Arc::clone(&gate),
        placement: placement(config.placement, on_a_core.is_some(), &core_queues),
        batched_writes: config.batched_writes,
        drain_window: config.drain_window,
        draining: CancellationToken::new(),
        stopping: CancellationToken::new(),
    };
    let shards: Vec<Arc<ShardStats>> = (0..count).map(|_| Arc::default()).collect();
    let (errands, core_errands) = Errands::new(count);
    for (index, ((queues, errands), incoming)) in
        shard_queues.into_iter().zip(core_errands).zip(incoming).enumerate()
    {
        let stats = Arc::clone(&shards[index]);
        let own = Own { index, stats, queues, incoming, errands, cluster: on_a_core.take() };
        threads.push(cores::start_core(shared.clone(), own)?);
    }

    let health = Arc::new(Health::new(started, Arc::clone(&hub), shards.clone()));
    let share = Arc::new(Share::new(node, shards.clone(), Arc::clone(&broker)));
    vital.spawn(Arc::clone(&share).run());
    let source = Arc::new(Source {
        share: Arc::clone(&share),
        spans: span_counts,
        lines,
        shards,
        hub,
        broker: Arc::clone(&broker),
        gate: Arc::clone(&gate),
        admin_tls: admin_tls.clone(),
        health: Arc::clone(&health),
        authenticator: Arc::clone(&replaceable.authenticator),
        users,
        loads,
        connections_max,
        threads: runtimes(&threads),
        events: weak_events,
        inboxes,
    });
    let metrics = Metrics::new(Arc::clone(&source)).context("cannot register metrics")?;
    vital.spawn(Arc::clone(&health).probe(Arc::clone(&broker)));
    let drain_wish = Arc::new(Notify::new());
    let api = Api {
        node,
        name,
        source,
        redis: config.redis.as_ref().map(RedisConfig::address),
        broker,
        share: Arc::clone(&share),
        errands,
        drain: Arc::clone(&drain_wish),
        key: config.admin_key.clone(),
    };
    vital.spawn(admin.run(admin_tls, Arc::clone(&health), metrics, api));
    let accepting = CancellationToken::new();
    let mut acceptor = tokio::spawn(acceptor.run(
        core_queues,
        gate,
        Arc::clone(&replaceable.http),
        connections_max,
        accepting.clone(),
    ));

    announce(&config, address, admin_address);
    tokio::select! {
        () = serve_until_end(&mut signals, reload, &replaceable, &health) => {}
        () = drain_wish.notified() => info!("asked to drain by the admin API"),
        thread = cores::first_to_end(&mut threads) => return Err(failed(&thread)),
        task = vital.failed() => return Err(failed("main").context(task)),
        _ = &mut acceptor => return Err(failed("the acceptor")),
    }

    info!(window = ?shared.drain_window, "draining: no new connections, clients are asked to leave");
    health.drain(SystemTime::now() + shared.drain_window + END_LIMIT);
    share.drain();
    accepting.cancel();
    let _ = acceptor.await;
    shared.draining.cancel();
    // That of the cluster, if there is one, goes on until the process ends.
    let cores = threads.split_off(threads.len() - count);
    end(cores::all_ended(cores), &mut signals, &shared).await;
    // Members of this node leave now rather than when it is missed.
    let _ = tokio::time::timeout(END_LIMIT, shared.core.broker.close()).await;
    if let Some((end, collecting)) = collecting {
        end.cancel();
        let _ = tokio::time::timeout(END_LIMIT, collecting).await;
    }
    Ok(())
}

async fn serve_until_end(signals: &mut Signals, reload: &Reload, replaceable: &Replaceable, health: &Health) {
    while signals.next().await == Wish::Reload {
        let reloaded = reload();
        health.reloaded(reloaded.is_ok());
        match reloaded {
            Ok(config) => {
                replaceable.replace(with_node_name(config));
                info!(
                    "configuration loaded anew: keys, certificates, origins, limits and namespaces hold from now on"
                );
            }
            Err(errors) => {
                for problem in errors {
                    error!(%problem, "the configuration was not loaded anew; the old one stays");
                }
            }
        }
    }
}

/// Waits for everyone to leave; makes them leave when the time is up or a second signal comes.
async fn end(everyone_left: impl Future<Output = ()>, signals: &mut Signals, shared: &Shared) {
    tokio::pin!(everyone_left);
    let limit = shared.drain_window + END_LIMIT;
    tokio::select! {
        () = &mut everyone_left => return info!("everyone has left"),
        () = tokio::time::sleep(limit) => warn!("clients are left over; ending their connections"),
        () = signals.end() => warn!("second signal: ending at once"),
    }
    shared.stopping.cancel();
    tokio::select! {
        () = everyone_left => {}
        () = tokio::time::sleep(END_LIMIT) => {}
        () = signals.end() => {}
    }
}

/// A thread, or what it does for all clients, is gone. Nothing mends that but a new process, and staying would keep
/// clients connected who get nothing.
fn failed(thread: &str) -> anyhow::Error {
    anyhow!(
        "{thread} has failed: that is a mistake in roomcast, please report it with the lines above; the node ends, and \
         whatever runs it has to start it again"
    )
}

fn runtimes(threads: &[Thread]) -> Vec<(String, RuntimeMetrics)> {
    let main = ("main".to_owned(), tokio::runtime::Handle::current().metrics());
    let others = threads.iter().map(|thread| (thread.name.clone(), thread.metrics.clone()));
    std::iter::once(main).chain(others).collect()
}

fn core_count(configured: usize) -> usize {
    let available = || std::thread::available_parallelism().map_or(1, usize::from);
    let count = if configured == 0 { available() } else { configured };
    count.clamp(1, SHARDS_MAX)
}

/// Ends the task that sends spans, and waits for it.
type Collecting = (CancellationToken, tokio::task::JoinHandle<()>);
/// What follows publications, and the task that sends what it has seen; neither unless it is configured.
type Tracing = (Option<Arc<dyn Tracer>>, Option<Collecting>);

fn tracer(config: &Config, counts: &Arc<SpanCounts>) -> Result<Tracing> {
    let Some(tracing) = &config.tracing else { return Ok((None, None)) };
    let (spans, collector) = otlp::spans(tracing, &config.session.node, Arc::clone(counts))?;
    let end = CancellationToken::new();
    Ok((Some(spans), Some((end.clone(), tokio::spawn(collector.run(end))))))
}

type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

fn broker(
    config: &Config,
    node: NodeInfo,
    events: EventSender,
    retention: SharedRetention,
) -> (Arc<dyn Broker>, Driver) {
    match &config.redis {
        Some(redis) => {
            let (broker, driver) = RedisBroker::new(redis.clone(), &node, events, retention);
            (Arc::new(broker), Box::pin(driver))
        }
        None => {
            let (broker, driver) = MemoryBroker::new(node, events, retention);
            (Arc::new(broker), Box::pin(driver))
        }
    }
}

fn with_node_name(mut config: Config) -> Config {
    if config.session.node.is_empty() {
        config.session.node = rustix::system::uname().nodename().to_string_lossy().into_owned();
    }
    config
}

fn bind_error(error: &BindError, flag: &str) -> anyhow::Error {
    let BindError { address, source } = error;
    match source.kind() {
        std::io::ErrorKind::AddrInUse => anyhow!(
            "cannot listen on {address}: another program does; stop it, or choose another address with {flag}"
        ),
        std::io::ErrorKind::PermissionDenied => {
            anyhow!(
                "cannot listen on {address}: ports below 1024 need privileges; choose another with {flag}"
            )
        }
        _ => anyhow!("cannot listen on {address}: {source}; choose another address with {flag}"),
    }
}

/// What a newcomer needs next. On standard output, apart from the log.
fn announce(config: &Config, address: std::net::SocketAddr, admin: std::net::SocketAddr) {
    let broker = match &config.redis {
        Some(redis) => format!("Redis at {}", redis.address()),
        None => "embedded, this node only (set broker.url to connect nodes through Redis)".to_owned(),
    };
    let [s, admin_s] = [&config.tls, &config.admin_tls].map(|tls| if tls.is_some() { "s" } else { "" });
    let (intro, bearer) = about_tokens(&config.auth.access);
    println!(
        "roomcast {} is listening\n\
         \n\
         \x20 WebSocket   ws{s}://{address}/ws?room=hello\n\
         \x20 SSE         http{s}://{address}/sse?room=hello\n\
         \x20 publish     http{s}://{address}/rooms/hello/messages\n\
         \x20 admin       http{admin_s}://{admin}/  /metrics  /readyz\n\
         \x20 broker      {broker}\n\
         \n\
         {intro}Try it in two terminals:\n\
         \x20 curl -N {bearer}'http{s}://{address}/sse?room=hello'\n\
         \x20 curl {bearer}-d 'hi there' http{s}://{address}/rooms/hello/messages\n",
        env!("CARGO_PKG_VERSION"),
    );
}

/// Where to get a token, and how curl sends it; neither while everything is open.
fn about_tokens(access: &Access) -> (String, &'static str) {
    if access.is_open() {
        return (String::new(), "");
    }
    let can_sign = access.keys.keys().iter().any(|key| key.signing().is_some());
    let key = if can_sign { "" } else { " --key ALG/KID:file:PRIVATE.pem" };
    let intro = format!(
        "Clients need a token. With the same configuration, this prints one:\n\
         \x20 roomcast token --sub alice --subscribe hello --publish hello{key}\n\n"
    );
    (intro, "-H 'Authorization: Bearer TOKEN' ")
}
