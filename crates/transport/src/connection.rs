//! One accepted connection, on the core that keeps it for life.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use roomcast_session::Core;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::acceptor::{Accepted, Place};
use crate::limits::{
    FIRST_BYTES_LIMIT, HEAD_BYTES_MAX, HEAD_LIMIT, HEADERS_MAX, HTTP2_SEND_BYTES_MAX, HTTP2_STREAMS_MAX,
};
use crate::router;

/// What an operator decides about HTTP.
#[derive(Debug, Clone, Default)]
pub struct HttpSettings {
    /// Origins whose pages may use the service; `*` for any.
    pub origins: Vec<String>,
}

/// What the connections of one core share.
pub(crate) struct Context {
    pub(crate) core: Rc<Core>,
    pub(crate) http: Arc<ArcSwap<HttpSettings>>,
    /// Cancelled when the node begins to drain: nothing new is begun after it.
    pub(crate) draining: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// Serves the connections of one core until the acceptor is gone and all of them have ended.
/// Needs a `LocalSet` around it.
pub async fn serve(
    core: Rc<Core>,
    http: Arc<ArcSwap<HttpSettings>>,
    mut incoming: Receiver<Accepted>,
    draining: CancellationToken,
) {
    let context = Rc::new(Context { core, http, draining, tasks: TaskTracker::new() });
    while let Some(accepted) = incoming.recv().await {
        context.tasks.spawn_local(connection(accepted, Rc::clone(&context)));
    }
    context.tasks.close();
    context.tasks.wait().await;
}

async fn connection(accepted: Accepted, context: Rc<Context>) {
    let Accepted { stream, place } = accepted;
    let heartbeat = context.core.settings().heartbeat;
    let place = Arc::new(place);
    let served = match prepare(stream, heartbeat) {
        Ok(stream) => serve_http(stream, &context, &place).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = served {
        debug!(error, "a connection ended early");
    }
}

type Failure = Box<dyn std::error::Error>;

fn prepare(stream: std::net::TcpStream, heartbeat: Duration) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    // A peer that is gone without a word, or takes nothing, is given up by the kernel after the two
    // heartbeats that any other is given.
    SockRef::from(&stream).set_tcp_user_timeout(Some(heartbeat * 2))?;
    TcpStream::from_std(stream)
}

async fn serve_http(stream: TcpStream, context: &Rc<Context>, place: &Arc<Place>) -> Result<(), Failure> {
    match timeout(FIRST_BYTES_LIMIT, speaks_http2(&stream)).await?? {
        true => serve_http2(stream, context, place).await,
        false => serve_http1(stream, context, place).await,
    }
}

/// Whether the connection begins like HTTP/2 (RFC 9113, section 3.4): no HTTP/1 method does.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI ";
    let mut first = [0; PREFACE.len()];
    loop {
        let len = stream.peek(&mut first).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[..len] != PREFACE[..len] {
            return Ok(false);
        }
        if len == PREFACE.len() {
            return Ok(true);
        }
        // One to three bytes that may become either: rare, and never worth more than a short rest.
        sleep(Duration::from_millis(5)).await;
    }
}

async fn serve_http1(stream: TcpStream, context: &Rc<Context>, place: &Arc<Place>) -> Result<(), Failure> {
    let service = service_fn(|request| router::answer(with_place(request, place), Rc::clone(context)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        result = &mut connection => return Ok(result?),
        () = context.draining.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

async fn serve_http2(stream: TcpStream, context: &Rc<Context>, place: &Arc<Place>) -> Result<(), Failure> {
    let heartbeat = context.core.settings().heartbeat;
    let service = service_fn(|request| router::answer(with_place(request, place), Rc::clone(context)));
    let connection = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .keep_alive_interval(heartbeat)
        .keep_alive_timeout(heartbeat)
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_send_buf_size(HTTP2_SEND_BYTES_MAX)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        result = &mut connection => return Ok(result?),
        () = context.draining.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// A WebSocket outlives the HTTP connection that it came by, and keeps its place.
fn with_place(mut request: Request<Incoming>, place: &Arc<Place>) -> Request<Incoming> {
    request.extensions_mut().insert(Arc::clone(place));
    request
}

/// Runs what hyper wants to have run on the thread that asks for it: streams of an HTTP/2 connection stay on its core.
#[derive(Debug, Clone, Copy)]
pub struct LocalExecutor;

impl<F> Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
