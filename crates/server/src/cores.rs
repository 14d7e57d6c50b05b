//! The threads of a node. Nothing else makes threads.
//!
//! * `core-0…`: one single-threaded runtime each, with its shard and its connections, which stay for
//!   life. No task moves between cores, so nothing in them has to be `Send` or locked.
//! * `cluster`: the broker's connections and the router; or these are on `core-0` as well (see [`ClusterThread`]).
//! * the main thread: the public port, health, metrics and signals, which therefore answer while the
//!   cores are busy.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
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

use crate::batch;

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

/// Starts one core. The receiver hears when its last connection has ended.
pub(crate) fn start_core(shared: Shared, own: Own) -> io::Result<(oneshot::Receiver<()>, RuntimeMetrics)> {
    let (ended, end) = oneshot::channel();
    let runtime = runtime()?;
    let metrics = runtime.metrics();
    Builder::new().name(format!("core-{}", own.index)).spawn(move || {
        LocalSet::new().block_on(&runtime, run_core(shared, own, ended));
    })?;
    Ok((end, metrics))
}

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
    tokio::task::spawn_local(Rc::clone(&shard).run(queues.inbox));
    tokio::task::spawn_local(Rc::clone(&shard).keep_writing());
    tokio::task::spawn_local(shard.announce(queues.interest));
    tokio::task::spawn_local(Rc::clone(&core).keep_time());
    tokio::task::spawn_local({
        let core = Rc::clone(&core);
        async move {
            while let Some(errand) = errands.recv().await {
                errand(&core);
            }
        }
    });
    tokio::task::spawn_local({
        let (core, draining) = (Rc::clone(&core), draining.clone());
        async move {
            draining.cancelled().await;
            drain(core, drain_window).await;
        }
    });
    tokio::task::spawn_local({
        let core = Rc::clone(&core);
        async move {
            stopping.cancelled().await;
            core.stop();
        }
    });
    let cluster = cluster.map(tokio::task::spawn_local);
    serve(core, index, placement, http, gate, incoming, draining).await;
    let _ = ended.send(());
    // The broker is needed until the process ends: it says that this node's members leave.
    if let Some(cluster) = cluster {
        let _ = cluster.await;
    }
}

/// Where the cluster has been started.
pub(crate) enum Started {
    OnItsOwn(RuntimeMetrics),
    /// Not yet: the first core runs it.
    ForACore(Cluster),
}

/// Starts the cluster on a thread of its own, or gives it back for the first core.
pub(crate) fn start_cluster(thread: ClusterThread, cores: usize, cluster: Cluster) -> io::Result<Started> {
    if thread.is_shared(cores) {
        return Ok(Started::ForACore(cluster));
    }
    let runtime = runtime()?;
    let metrics = runtime.metrics();
    Builder::new().name("cluster".to_owned()).spawn(move || runtime.block_on(cluster))?;
    Ok(Started::OnItsOwn(metrics))
}

/// A runtime of the thread that uses it.
pub(crate) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
