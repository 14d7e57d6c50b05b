//! The threads of a node. Nothing else makes threads.
//!
//! * `core-0…`: one single-threaded runtime each, with its shard and its connections, which stay for
//!   life. No task moves between cores, so nothing in them has to be `Send` or locked.
//! * `cluster`: the broker's connections and the router; or these are on `core-0` as well (see [`ClusterThread`]).
//! * the main thread: the public port, health, metrics and signals, which therefore answer while the
//!   cores are busy.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::thread::Builder;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use roomcast_hub::stats::ShardStats;
use roomcast_hub::{Shard, ShardQueues};
use roomcast_session::{Core, CoreShared, drain};
use roomcast_transport::{Accepted, Gate, HttpSettings, Placement, serve};
use tokio::runtime::{Runtime, RuntimeMetrics};
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::batch;
use crate::vital::Vital;

/// Where the broker's connections and the router run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ClusterThread {
    /// On the first core if there are few: a message for a small room then wakes one thread instead of two, which is
    /// most of what it costs. With [`OWN_THREAD_CORES`] or more, reading has a thread that no fan-out keeps waiting.
    #[default]
    Auto,
    /// On the first core.
    Shared,
    /// On a thread of their own.
    Own,
}

/// Cores from which on the cluster has a thread of its own: one of that many is little to give up.
const OWN_THREAD_CORES: usize = 4;

impl ClusterThread {
    fn is_shared(self, cores: usize) -> bool {
        match self {
            Self::Auto => cores < OWN_THREAD_CORES,
            Self::Shared => true,
            Self::Own => false,
        }
    }
}

/// The work of the cluster.
pub(crate) type Cluster = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What all cores have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) core: CoreShared,
    pub(crate) started: Instant,
    pub(crate) http: Arc<ArcSwap<HttpSettings>>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) placement: Arc<Placement>,
    pub(crate) batched_writes: bool,
    pub(crate) drain_window: Duration,
    /// Clients are asked to leave.
    pub(crate) draining: CancellationToken,
    /// Clients are made to leave.
    pub(crate) stopping: CancellationToken,
}

/// Something that is done on a core's own thread.
pub(crate) type Errand = Box<dyn FnOnce(&Core) + Send>;

/// Errands that wait for one core: an operator's questions, a few at a time.
const ERRANDS_MAX: usize = 16;

/// Runs errands on cores.
#[derive(Clone)]
pub(crate) struct Errands(Vec<mpsc::Sender<Errand>>);

impl Errands {
    /// The operators' end, and one end for each core.
    pub(crate) fn new(cores: usize) -> (Self, Vec<mpsc::Receiver<Errand>>) {
        let (senders, receivers) = (0..cores).map(|_| mpsc::channel(ERRANDS_MAX)).unzip();
        (Self(senders), receivers)
    }

    /// Asks all cores the same; those that have ended do not answer.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&Core) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let mut answers = Vec::with_capacity(self.0.len());
        for core in &self.0 {
            let (reply, answer) = oneshot::channel();
            let question = question.clone();
            let errand: Errand = Box::new(move |core| drop(reply.send(question(core))));
            if core.send(errand).await.is_ok()
                && let Ok(answer) = answer.await
            {
                answers.push(answer);
            }
        }
        answers
    }
}

/// What one core has to itself.
pub(crate) struct Own {
    pub(crate) index: usize,
    pub(crate) stats: Arc<ShardStats>,
    pub(crate) queues: ShardQueues,
    pub(crate) incoming: mpsc::Receiver<Accepted>,
    pub(crate) errands: mpsc::Receiver<Errand>,
    /// Runs beside its connections.
    pub(crate) cluster: Option<Cluster>,
}

/// A thread that has been started.
pub(crate) struct Thread {
    pub(crate) name: String,
    pub(crate) metrics: RuntimeMetrics,
    /// Hears when its work is done, for a core when its last connection has ended; an error where the thread is gone before.
    end: oneshot::Receiver<()>,
}

/// The name of the first thread that ends. None should, while the node serves.
pub(crate) async fn first_to_end(threads: &mut [Thread]) -> String {
    poll_fn(|task| {
        let ended = threads.iter_mut().find_map(|Thread { name, end, .. }| {
            let is_over = Pin::new(end).poll(task).is_ready();
            is_over.then(|| name.clone())
        });
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Waits until the work of all these threads is done.
pub(crate) async fn all_ended(threads: Vec<Thread>) {
    for Thread { name, end, .. } in threads {
        if end.await.is_err() {
            error!(thread = name, "failed while its clients were asked to leave");
        }
    }
}

/// Starts one core.
pub(crate) fn start_core(shared: Shared, own: Own) -> io::Result<Thread> {
    let (ended, end) = oneshot::channel();
    let runtime = runtime()?;
    let metrics = runtime.metrics();
    let name = format!("core-{}", own.index);
    Builder::new().name(name.clone()).spawn(move || {
        LocalSet::new().block_on(&runtime, run_core(shared, own, ended));
    })?;
    Ok(Thread { name, metrics, end })
}

/// Runs until its connections have ended and `ended` has heard so, or until something fails that all of them need.
async fn run_core(shared: Shared, own: Own, ended: oneshot::Sender<()>) {
    let Own { index, stats, queues, incoming, mut errands, cluster } = own;
    let Shared { core, started, http, gate, placement, batched_writes, drain_window, draining, stopping } =
        shared;
    let shard = Shard::new(index, stats, queues.requests, started).traced_by(core.tracer.clone());
    let shard = Rc::new(shard);
    if batched_writes {
        batch::write_together(index, &shard);
    }
    let core = Rc::new(Core::new(index, Rc::clone(&shard), core));
    let mut vital = Vital::default();
    vital.spawn_local(Rc::clone(&shard).keep_writing());
    vital.spawn_local(Rc::clone(&shard).announce(queues.interest));
    vital.spawn_local(Rc::clone(&core).keep_time());
    vital.spawn_local({
        let core = Rc::clone(&core);
        async move {
            while let Some(errand) = errands.recv().await {
                errand(&core);
            }
        }
    });
    vital.spawn_local({
        let (core, draining) = (Rc::clone(&core), draining.clone());
        async move {
            draining.cancelled().await;
            drain(core, drain_window).await;
        }
    });
    vital.spawn_local({
        let core = Rc::clone(&core);
        async move {
            stopping.cancelled().await;
            core.stop();
        }
    });
    // Not tasks among those of ten thousand connections, which may all have something to do: this thread looks at what
    // it waits for itself after a few dozen of them. In this order, so that a message which comes in is out in one go.
    let mut messages = pin!(async {
        let reading = async {
            if let Some(cluster) = cluster {
                cluster.await;
            }
        };
        tokio::join!(biased; reading, shard.run(queues.inbox));
        pending::<()>().await;
    });
    tokio::select! {
        biased;
        () = &mut messages => {}
        () = serve(core, index, placement, http, gate, incoming, draining) => {}
        failed = vital.failed() => return error!(%failed, core = index, "what all clients of a core need has failed"),
    }
    let _ = ended.send(());
    // Needed until the process ends: the broker says that this node's members leave, and probes come to every core.
    messages.await;
}

/// Where the cluster has been started.
pub(crate) enum Started {
    OnItsOwn(Thread),
    /// Not yet: the first core runs it.
    ForACore(Cluster),
}

/// Starts the cluster on a thread of its own, or gives it back for the first core.
pub(crate) fn start_cluster(thread: ClusterThread, cores: usize, cluster: Cluster) -> io::Result<Started> {
    if thread.is_shared(cores) {
        return Ok(Started::ForACore(cluster));
    }
    let (ended, end) = oneshot::channel();
    let runtime = runtime()?;
    let metrics = runtime.metrics();
    let name = "cluster".to_owned();
    Builder::new().name(name.clone()).spawn(move || {
        runtime.block_on(cluster);
        let _ = ended.send(());
    })?;
    Ok(Started::OnItsOwn(Thread { name, metrics, end }))
}

/// A runtime of the thread that uses it.
pub(crate) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Raw};
    use roomcast_broker::{MemoryBroker, NodeInfo, event_queue};
    use roomcast_hub::queues;
    use roomcast_protocol::NodeId;
    use roomcast_session::auth::Authenticator;
    use roomcast_transport::{CoreQueue, core_queue, placement};

    /// A core that runs `cluster`, and what the acceptor has of it.
    fn start(index: usize, cluster: Cluster) -> (Thread, CoreQueue) {
        let config = Config::from_raw(Raw::default(), &|_| None).unwrap();
        let info = NodeInfo { id: NodeId(1), name: "n".to_owned() };
        let (broker, _driver) = MemoryBroker::new(info, event_queue().0, Arc::default());
        let (_router, mut shards) = queues(1);
        let (acceptor, incoming) = core_queue(Arc::default());
        let shared = Shared {
            core: CoreShared {
                tracer: None,
                node: NodeId(1),
                broker: Arc::new(broker),
                hub: Arc::default(),
                settings: Arc::new(ArcSwap::from_pointee(config.session)),
                authenticator: Arc::new(Authenticator::new(config.auth.access)),
                users: Arc::default(),
            },
            started: Instant::now(),
            http: Arc::new(ArcSwap::from_pointee(config.http)),
            gate: Arc::new(Gate::new(None)),
            placement: placement(config.placement, false, std::slice::from_ref(&acceptor)),
            batched_writes: false,
            drain_window: config.drain_window,
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
        };
        let (_, mut errands) = Errands::new(1);
        let (queues, errands) = (shards.remove(0), errands.remove(0));
        let own = Own { index, stats: Arc::default(), queues, incoming, errands, cluster: Some(cluster) };
        (start_core(shared, own).unwrap(), acceptor)
    }

    #[tokio::test]
    async fn a_core_ends_when_something_panics_that_all_its_clients_need() {
        let (serving, _acceptor) = start(0, Box::pin(pending()));
        let (failing, _its_acceptor) = start(1, Box::pin(async { panic!("of all things") }));
        let mut threads = [serving, failing];
        assert_eq!(first_to_end(&mut threads).await, "core-1");
    }

    #[tokio::test]
    async fn a_core_has_not_failed_when_its_connections_have_ended() {
        for cluster in [Box::pin(pending()) as Cluster, Box::pin(async {})] {
            let (core, acceptor) = start(0, cluster);
            drop(acceptor);
            assert_eq!(core.end.await, Ok(()));
        }
    }

    #[tokio::test]
    async fn a_panic_is_no_end_of_work() {
        let (core, _acceptor) = start(0, Box::pin(async { panic!("of all things") }));
        assert!(core.end.await.is_err());
    }
}
