//! The public port: takes connections and gives each to the least loaded core, which may pass it on (`placement.rs`).

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use roomcast_session::TokenBucket;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, Receiver, Sender, WeakSender};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::addresses::Counted;
use crate::client::is_trusted;
use crate::connection::HttpSettings;
use crate::gate::Gate;
use crate::limits::{ACCEPTED_MAX, BACKLOG};
use crate::placement::{Asks, Placement, PlacementPolicy};
use crate::refusal::Refused;

/// How long to rest when the process is out of descriptors: accepting again at once would only spin.
const EXHAUSTED_REST: Duration = Duration::from_millis(100);

/// The open public port.
#[derive(Debug)]
pub struct Acceptor {
    listener: TcpListener,
    address: SocketAddr,
}

/// Why the port cannot be opened.
#[derive(Debug)]
pub struct BindError {
    /// The address that was asked for.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// How much a core has to do. Read by the acceptor and by other cores.
#[derive(Debug, Default)]
pub struct Load {
    connections: AtomicUsize,
    busy_percent: AtomicU32,
}

impl Load {
    /// Connections now.
    pub fn get(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The share of the last second that it was not waiting for something to do.
    pub(crate) fn busy_percent(&self) -> u32 {
        self.busy_percent.load(Ordering::Relaxed)
    }

    pub(crate) fn set_busy_percent(&self, percent: u32) {
        self.busy_percent.store(percent, Ordering::Relaxed);
    }

    /// Looks once a second how busy the runtime is that this runs on. Never ends.
    pub(crate) async fn watch(&self) {
        let runtime = tokio::runtime::Handle::current().metrics();
        let (mut since, mut before) = (Instant::now(), runtime.worker_total_busy_duration(0));
        loop {
            tokio::time::sleep(BUSY_PERIOD).await;
            let (now, busy) = (Instant::now(), runtime.worker_total_busy_duration(0));
            let share = busy.saturating_sub(before).div_duration_f64(now - since);
            self.set_busy_percent((share * 100.0) as u32);
            (since, before) = (now, busy);
        }
    }
}

/// How often a core says how busy it is.
const BUSY_PERIOD: Duration = Duration::from_secs(1);

/// A connection on its way to its core; counts there until it is dropped.
#[derive(Debug)]
pub struct Accepted {
    pub(crate) stream: TcpStream,
    pub(crate) peer: IpAddr,
    pub(crate) place: Place,
    pub(crate) counted: Option<Counted>,
    /// When its first byte of HTTP must be there; from the core that took it first.
    pub(crate) deadline: Option<tokio::time::Instant>,
}

impl Accepted {
    /// The same on another core.
    pub(crate) fn moved_to(self, load: &Arc<Load>) -> Self {
        Self { place: Place { _load: Load::take(load), ..self.place }, ..self }
    }
}

/// One connection's share of a core's load, and of its room's.
#[derive(Debug)]
pub(crate) struct Place {
    _load: Taken,
    /// Set where the room decides about the core.
    pub(crate) asks: Option<Asks>,
}

#[derive(Debug)]
struct Taken(Arc<Load>);

impl Load {
    fn take(load: &Arc<Self>) -> Taken {
        load.connections.fetch_add(1, Ordering::Relaxed);
        Taken(Arc::clone(load))
    }

    #[cfg(test)]
    pub(crate) fn take_for_tests(self: &Arc<Self>) -> impl Drop + use<> {
        Self::take(self)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The acceptor's end of the queue to one core.
#[derive(Debug)]
pub struct CoreQueue {
    sender: Sender<Accepted>,
    load: Arc<Load>,
}

impl CoreQueue {
    /// For the other cores, whom it does not keep waiting for more when the acceptor has ended.
    pub(crate) fn weak(&self) -> (WeakSender<Accepted>, Arc<Load>) {
        (self.sender.downgrade(), Arc::clone(&self.load))
    }
}

/// How connections that come by these queues are placed; `first_reads` if the first core reads from the broker as well.
pub fn placement(policy: PlacementPolicy, first_reads: bool, cores: &[CoreQueue]) -> Arc<Placement> {
    Arc::new(Placement::new(policy, first_reads, cores.iter().map(CoreQueue::weak).collect()))
}

/// The queue from the acceptor to one core.
pub fn core_queue(load: Arc<Load>) -> (CoreQueue, Receiver<Accepted>) {
    let (sender, receiver) = mpsc::channel(ACCEPTED_MAX);
    (CoreQueue { sender, load }, receiver)
}

impl Acceptor {
    /// Opens the port. Needs a tokio runtime around it.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address, with the port that the system has chosen for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands out connections until `stop`; then the port is closed. Beyond `connections_max`, and
    /// beyond the limits of the settings, they are refused.
    pub async fn run(
        self,
        cores: Vec<CoreQueue>,
        gate: Arc<Gate>,
        http: Arc<ArcSwap<HttpSettings>>,
        connections_max: usize,
        stop: CancellationToken,
    ) {
        let bucket = TokenBucket::full(http.load().gate.handshakes, Instant::now());
        let mut usher = Usher { cores, gate, http, connections_max, bucket };
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                // Leaves this thread's event loop, to enter that of its core.
                Ok((stream, peer)) => match stream.into_std() {
                    Ok(stream) => usher.take(stream, peer.ip().to_canonical()),
                    Err(error) => debug!(%error, "a connection was gone at once"),
                },
                Err(error) if is_of_one_peer(&error) => debug!(%error, "a connection was gone at once"),
                Err(error) => {
                    warn!(%error, "cannot accept connections; raise the descriptor limit (ulimit -n)");
                    tokio::time::sleep(EXHAUSTED_REST).await;
                }
            }
        }
    }
}

/// Shows connections to their cores, or away.
struct Usher {
    cores: Vec<CoreQueue>,
    gate: Arc<Gate>,
    http: Arc<ArcSwap<HttpSettings>>,
    connections_max: usize,
    bucket: TokenBucket,
}

impl Usher {
    fn take(&mut self, stream: TcpStream, peer: IpAddr) {
        match self.admit(peer) {
            Ok((core, counted)) => {
                let place = Place { _load: Load::take(&core.load), asks: None };
                let accepted = Accepted { stream, peer, place, counted, deadline: None };
                if let Err(error) = core.sender.try_send(accepted) {
                    self.refuse(&error.into_inner().stream, Refused::Full);
                }
            }
            Err(reason) => self.refuse(&stream, reason),
        }
    }

    /// The core for a connection from this address.
    fn admit(&mut self, peer: IpAddr) -> Result<(&CoreQueue, Option<Counted>), Refused> {
        let http = self.http.load();
        let settings = &http.gate;
        let rate = settings.handshakes;
        if rate.per_second > 0 && self.bucket.take(1, rate, Instant::now()).is_err() {
            return Err(Refused::Rate);
        }
        if settings.proxy_protocol && !is_trusted(peer, &settings.trusted_proxies) {
            return Err(Refused::Proxy);
        }
        let total: usize = self.cores.iter().map(|core| core.load.get()).sum();
        let least_loaded = self.cores.iter().min_by_key(|core| core.load.get());
        let core = least_loaded.filter(|_| total < self.connections_max).ok_or(Refused::Full)?;
        Ok((core, self.gate.enter(peer, settings)?))
    }

    fn refuse(&self, stream: &TcpStream, reason: Refused) {
        self.gate.refusals.count(reason);
        // Behind TLS it could not be read, and a handshake is what there is no room for.
        if self.gate.tls.is_none() {
            // The few bytes fit into any socket's buffer; a peer that is gone does not need them.
            let _ = io::Write::write(&mut &*stream, reason.answer());
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted node must not wait for the old one's connections to time out.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
