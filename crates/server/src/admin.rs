//! The operators' port: metrics, health, what they ask and wish, and a page for all of it. Answers from the main thread,
//! however busy the cores.

mod access;
mod api;
mod metrics;
mod status;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use roomcast_transport::{BindError, Page, Problem, Tls};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::console;
use crate::health::Health;
pub(crate) use api::Api;
pub(crate) use metrics::{Metrics, Source};

/// Most connections at once: a handful of scrapers, and someone looking.
const CONNECTIONS_MAX: usize = 64;

/// For the head of a request, and for an idle connection.
const HEAD_LIMIT: Duration = Duration::from_secs(60);

/// For the TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The open admin port.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

struct State {
    health: Arc<Health>,
    metrics: Metrics,
    api: Api,
    page: Page,
}

impl Admin {
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for as long as the node lives.
    pub(crate) async fn run(self, tls: Option<Arc<Tls>>, health: Arc<Health>, metrics: Metrics, api: Api) {
        let state = Arc::new(State { health, metrics, api, page: console::operators_page() });
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "cannot accept admin connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (state, tls) = (Arc::clone(&state), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => serve(stream, peer, state).await,
                    Some(tls) => serve_tls(stream, &tls, peer, state).await,
                }
                drop(place);
            });
        }
    }
}

async fn serve_tls(stream: TcpStream, tls: &Tls, peer: SocketAddr, state: Arc<State>) {
    match timeout(HANDSHAKE_LIMIT, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, peer, state).await,
        Ok(Err(error)) => debug!(%peer, %error, "an admin connection without a TLS handshake"),
        Err(_) => debug!(%peer, "an admin connection without a TLS handshake in time"),
    }
}

async fn serve<S>(stream: S, peer: SocketAddr, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move {
            let response = answer(request, peer, &state).await.unwrap_or_else(Problem::into_response);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%error, "an admin connection ended early");
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    state: &State,
) -> Result<Response<Full<Bytes>>, Problem> {
    let path = request.uri().path();
    if path == "/drain" || path.starts_with("/api/") {
        return state.api.answer(request, peer).await;
    }
    // It says nothing about the node; what it shows it has to ask for.
    let page = state.page.answer(path, request.headers());
    if page.is_none() && !matches!(path, "/metrics" | "/livez" | "/readyz") {
        return Err(Problem::not_found(
            "nothing is here; there are a page at /, /metrics, /livez, /readyz, /drain and /api/openapi.json",
        ));
    }
    if request.method() != Method::GET {
        return Err(Problem::method_not_allowed("GET"));
    }
    if let Some(page) = page {
        return Ok(page);
    }
    match path {
        "/metrics" => {
            let text = state.metrics.text().map_err(Problem::unavailable)?;
            Ok(response("text/plain; version=0.0.4; charset=utf-8", text))
        }
        "/livez" => Ok(response("text/plain", "alive\n".to_owned())),
        _ => match state.health.ready() {
            Ok(()) => Ok(response("text/plain", "ready\n".to_owned())),
            Err(reason) => Err(Problem::unavailable(reason.explain())),
        },
    }
}

fn response(content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
