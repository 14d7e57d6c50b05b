//! One accepted connection, on the core that keeps it for life.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use roomcast_session::Core;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::acceptor::Accepted;
use crate::client::Client;
use crate::gate::{Gate, GateSettings};
use crate::held::Held;
use crate::http2_pace::Http2Pace;
use crate::limits::{
    FIRST_BYTES_MAX, HEAD_BYTES_MAX, HTTP2_RESETS_BY_PEER_MAX, HTTP2_RESETS_BY_US_MAX, HTTP2_SEND_BYTES_MAX,
    HTTP2_STREAMS_MAX, TLS_SEND_BYTES_MAX,
};
use crate::page::Console;
use crate::placement::{Placement, RoomHash};
use crate::refusal::Refused;
use crate::socket::with_scratch;
use crate::tls::Tls;
use crate::{http1, proxy_protocol, router};

/// What an operator decides about HTTP.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Origins whose pages may use the service; `*` for any.
    pub origins: Vec<String>,
    /// Names that the service goes by; empty for any.
    pub hosts: Vec<String>,
    /// The cookie that may hold a token; empty for none.
    pub cookie: String,
    /// Who is let in, and how fast they have to be.
    pub gate: GateSettings,
    /// The page at `GET /`.
    pub console: Console,
}

/// What the connections of one core share.
pub(crate) struct Context {
    pub(crate) core: Rc<Core>,
    pub(crate) placement: Arc<Placement>,
    /// The number of this core.
    index: usize,
    pub(crate) http: Arc<ArcSwap<HttpSettings>>,
    pub(crate) gate: Arc<Gate>,
    /// Cancelled when the node begins to drain: nothing new is begun after it.
    pub(crate) draining: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Serves the connections of core number `index` until the acceptor is gone and all of them have ended.
/// Needs a `LocalSet` around it.
pub async fn serve(
    core: Rc<Core>,
    index: usize,
    placement: Arc<Placement>,
    http: Arc<ArcSwap<HttpSettings>>,
    gate: Arc<Gate>,
    mut incoming: Receiver<Accepted>,
    draining: CancellationToken,
) {
    if let Some(load) = placement.watched(index) {
        tokio::task::spawn_local(async move { load.watch().await });
    }
    let context =
        Rc::new(Context { core, placement, index, http, gate, draining, tasks: TaskTracker::new() });
    while let Some(accepted) = incoming.recv().await {
        context.tasks.spawn_local(connection(accepted, Rc::clone(&context)));
    }
    context.tasks.close();
    context.tasks.wait().await;
}

async fn connection(mut accepted: Accepted, context: Rc<Context>) {
    let peer = accepted.peer;
    let GateSettings { first_byte, proxy_protocol, .. } = context.http.load().gate;
    let heartbeat = context.core.settings().heartbeat;
    let is_plain = !proxy_protocol && context.gate.tls.is_none();
    let served = match prepare(&mut accepted, first_byte, heartbeat) {
        Err(error) => Err(error.into()),
        Ok(deadline) if is_plain => serve_plain(accepted, deadline, &context).await,
        // Boxed, so that plain connections do not hold what the others need.
        Ok(deadline) => Box::pin(serve_wrapped(accepted, deadline, &context)).await,
    };
    if let Err(error) = served {
        debug!(%peer, error, "a connection ended early");
    }
}

/// How a connection begins.
pub(crate) struct Begin {
    /// When its first byte of HTTP must be there.
    deadline: Instant,
    client: Client,
    pub(crate) held: Held,
}

impl Begin {
    /// The same for the client that a proxy speaks for.
    fn of(self, client: IpAddr, context: &Context) -> Result<Self, Refused> {
        let held = match context.gate.enter(client, &context.http.load().gate)? {
            Some(counted) => self.held.counted(counted),
            None => self.held,
        };
        Ok(Self { client: Client(client), held, ..self })
    }

    /// Each request knows whose it is and what it takes up.
    pub(crate) fn mark(&self, mut request: Request<Incoming>) -> Request<Incoming> {
        request.extensions_mut().insert(self.client);
        request.extensions_mut().insert(self.held.clone());
        request
    }
}

pub(crate) type Failure = Box<dyn std::error::Error>;

/// Until when the first byte of HTTP may come. What another core has handed over is prepared already.
fn prepare(accepted: &mut Accepted, first_byte: Duration, heartbeat: Duration) -> io::Result<Instant> {
    if let Some(deadline) = accepted.deadline {
        return Ok(deadline);
    }
    accepted.stream.set_nodelay(true)?;
    // A peer that is gone without a word, or takes nothing, is given up by the kernel after the two
    // heartbeats that any other is given.
    SockRef::from(&accepted.stream).set_tcp_user_timeout(Some(heartbeat * 2))?;
    Ok(*accepted.deadline.insert(Instant::now() + first_byte))
}

/// A connection that begins with HTTP, here or on the core where its room is.
async fn serve_plain(
    mut accepted: Accepted,
    deadline: Instant,
    context: &Rc<Context>,
) -> Result<(), Failure> {
    let stream = TcpStream::from_std(accepted.stream)?;
    // What has been placed stays.
    let is_placed = accepted.place.asks.is_some();
    let first = timeout_at(deadline, first_bytes(&stream, context)).await??;
    if let Some(room) = first.room.filter(|_| !is_placed) {
        let (asks, home) = context.placement.ask(room, context.index);
        accepted.place.asks = Some(asks);
        if let Some(home) = home {
            accepted.stream = stream.into_std()?;
            return match context.placement.hand_over(home, accepted) {
                Ok(()) => Ok(()),
                Err(accepted) => Box::pin(serve_plain(accepted, deadline, context)).await,
            };
        }
    }
    let held = Held::new(accepted.place, accepted.counted);
    let begin = Begin { deadline, client: Client(accepted.peer), held };
    serve_http(stream, first, begin, context).await
}

/// A connection that begins with something else than HTTP.
async fn serve_wrapped(accepted: Accepted, deadline: Instant, context: &Rc<Context>) -> Result<(), Failure> {
    let stream = TcpStream::from_std(accepted.stream)?;
    let held = Held::new(accepted.place, accepted.counted);
    let begin = Begin { deadline, client: Client(accepted.peer), held };
    if context.http.load().gate.proxy_protocol {
        return serve_proxied(stream, begin, context).await;
    }
    serve_tls(stream, begin, context).await
}

/// A connection through a proxy that says in the first bytes whose it is. The acceptor has
/// seen to it that the proxy is trusted.
async fn serve_proxied(mut stream: TcpStream, begin: Begin, context: &Rc<Context>) -> Result<(), Failure> {
    let header = timeout_at(begin.deadline, proxy_protocol::read(&mut stream)).await;
    let admitted = match header {
        Ok(Ok(Some(address))) => begin.of(address.to_canonical(), context),
        Ok(Ok(None)) => Ok(begin),
        Ok(Err(_)) | Err(_) => Err(Refused::Proxy),
    };
    match admitted {
        Ok(begin) if context.gate.tls.is_some() => serve_tls(stream, begin, context).await,
        Ok(begin) => {
            let first = timeout_at(begin.deadline, first_bytes(&stream, context)).await??;
            serve_http(stream, first, begin, context).await
        }
        Err(reason) => {
            context.gate.refusals.count(reason);
            if context.gate.tls.is_none() {
                let _ = stream.try_write(reason.answer());
            }
            Ok(())
        }
    }
}

async fn serve_http(
    stream: TcpStream,
    first: FirstBytes,
    begin: Begin,
    context: &Rc<Context>,
) -> Result<(), Failure> {
    match first.http2 {
        // Boxed, so that the many of HTTP/1.1 do not hold what the few of HTTP/2 need.
        true => Box::pin(serve_http2(stream, &begin, context)).await,
        false => http1::serve(stream, begin, context).await,
    }
}

async fn serve_tls(stream: TcpStream, begin: Begin, context: &Rc<Context>) -> Result<(), Failure> {
    let Some(tls) = &context.gate.tls else { return Ok(()) };
    let shaken = timeout_at(begin.deadline, shake_hands(stream, tls)).await.map_err(Failure::from);
    let stream = match shaken.and_then(|stream| Ok(stream?)) {
        Ok(Some(stream)) => Box::new(stream),
        Ok(None) => return Ok(()),
        Err(error) => {
            context.gate.refusals.count(Refused::Tls);
            return Err(error);
        }
    };
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => serve_http2(stream, &begin, context).await,
        _ => http1::serve(stream, begin, context).await,
    }
}

/// What a TLS connection begins with: the type of a record with a handshake in it (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// `None` for a peer that leaves without a word, as health checks of load balancers do.
async fn shake_hands(stream: TcpStream, tls: &Tls) -> io::Result<Option<TlsStream<TcpStream>>> {
    let mut first = [0];
    // Nothing is held for a peer that says nothing.
    if stream.peek(&mut first).await? == 0 {
        return Ok(None);
    }
    if first[0] != TLS_HANDSHAKE {
        let _ = stream.try_write(Refused::Tls.answer());
        return Err(io::Error::other("the peer does not speak TLS"));
    }
    let accepting =
        tls.acceptor().accept_with(stream, |session| session.set_buffer_limit(Some(TLS_SEND_BYTES_MAX)));
    accepting.await.map(Some)
}

/// What a connection begins with.
struct FirstBytes {
    http2: bool,
    room: Option<RoomHash>,
}

/// Looks at the first bytes without taking them. A connection of HTTP/2 begins as no method of HTTP/1 does
/// (RFC 9113, section 3.4).
async fn first_bytes(stream: &TcpStream, context: &Context) -> io::Result<FirstBytes> {
    const PREFACE: &[u8] = b"PRI ";
    loop {
        let first = poll_fn(|task| -> Poll<io::Result<Option<FirstBytes>>> {
            with_scratch(|scratch| {
                let mut buffer = ReadBuf::new(&mut scratch[..FIRST_BYTES_MAX]);
                let len = ready!(stream.poll_peek(task, &mut buffer))?;
                let first = buffer.filled();
                Poll::Ready(match len {
                    0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    _ if first.starts_with(PREFACE) => Ok(Some(FirstBytes { http2: true, room: None })),
                    _ if PREFACE.starts_with(first) => Ok(None),
                    _ => Ok(Some(FirstBytes { http2: false, room: context.placement.room(first) })),
                })
            })
        });
        if let Some(first) = first.await? {
            return Ok(first);
        }
        // One to three bytes that may become either: rare, and never worth more than a short rest.
        sleep(Duration::from_millis(5)).await;
    }
}

async fn serve_http2<S>(stream: S, begin: &Begin, context: &Rc<Context>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let heartbeat = context.core.settings().heartbeat;
    let patience = context.http.load().gate.headers;
    let asked = Cell::new(false);
    let service = service_fn(|request| {
        asked.set(true);
        // Boxed: each stream is a task as large as what it ever holds.
        Box::pin(router::answer(begin.mark(request), Rc::clone(context)))
    });
    let connection = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .keep_alive_interval(heartbeat)
        .keep_alive_timeout(heartbeat)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
        .max_pending_accept_reset_streams(HTTP2_RESETS_BY_PEER_MAX)
        .max_local_error_reset_streams(HTTP2_RESETS_BY_US_MAX)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(Http2Pace::new(stream)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        result = &mut connection => return Ok(result?),
        () = no_request(&asked, patience) => return Err("no request came over HTTP/2 in time".into()),
        () = is_old(context) => connection.as_mut().graceful_shutdown(),
        () = context.draining.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// Ends when the first request is overdue. Until the client's first frames are there, nothing else
/// ends an HTTP/2 connection: its pings begin after them.
async fn no_request(asked: &Cell<bool>, patience: Duration) {
    sleep(patience).await;
    if asked.get() {
        pending::<()>().await;
    }
}

/// Ends before the first stream of an HTTP/2 connection is asked to leave for its age: what its client asks for then
/// comes by another connection, which may lead to another node. These connections are few, and have timers anyway.
async fn is_old(context: &Context) {
    let max_age = context.core.settings().max_age;
    match max_age {
        Some(max_age) => sleep(max_age.earliest()).await,
        None => pending().await,
    }
}

/// Runs what hyper wants to have run on the thread that asks for it: streams of an HTTP/2 connection stay on its core.
#[derive(Debug, Clone, Copy)]
pub struct LocalExecutor;

impl<F> Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
