//! Requests that the node makes itself: rare ones, each on a connection of its own.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_util::task::AbortOnDropHandle;

/// Longest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where requests go, and how.
#[derive(Clone)]
pub(crate) struct Outbound {
    url: Uri,
    host: String,
    /// None for plain HTTP.
    tls: Option<TlsConnector>,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Outbound {
    /// For a URL with a scheme and a host; `authorities` are trusted besides those of the web.
    pub(crate) fn new(url: &Uri, authorities: &[CertificateDer<'static>]) -> Result<Self> {
        // An IPv6 address stands in brackets.
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tls = if url.scheme() == Some(&Scheme::HTTPS) { Some(connector(authorities)?) } else { None };
        Ok(Self { url: url.clone(), host, tls })
    }

    /// Whom requests go to.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Sends a request to the URL and reads the whole answer, of `bytes_max` at most. Waits without end: the caller
    /// knows how long is too long. Redirects are not followed.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        bytes_max: usize,
    ) -> Result<Response<Bytes>> {
        let target = self.url.path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = target.parse()?;
        let Opened { response, _connection } = self.open(request).await?;
        let (head, body) = response.into_parts();
        match Limited::new(body, bytes_max).collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) => bail!("the answer has no good end, or more than {bytes_max} bytes: {error}"),
        }
    }

    /// Sends a request as it is, but for the host; the answer's body is still to be read.
    pub(crate) async fn open(&self, mut request: Request<Full<Bytes>>) -> Result<Opened> {
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority)?);
        let agent = HeaderValue::from_static(concat!("roomcast/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        let port = self.url.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let socket = TcpStream::connect((&*self.host, port)).await.context("cannot connect")?;
        match &self.tls {
            None => exchange(socket, request).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).context("the host has no valid name")?;
                let socket = tls.connect(name, socket).await.context("no TLS connection")?;
                exchange(socket, request).await
            }
        }
    }
}

/// An answer, and the connection that it comes by.
pub(crate) struct Opened {
    pub(crate) response: Response<Incoming>,
    _connection: AbortOnDropHandle<()>,
}

async fn exchange<S>(socket: S, request: Request<Full<Bytes>>) -> Result<Opened>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(socket)).await?;
    // What goes wrong is told to who waits for the answer.
    let connection = tokio::spawn(async move { drop(connection.with_upgrades().await) });
    let connection = AbortOnDropHandle::new(connection);
    let response = sender.send_request(request).await.context("no answer")?;
    Ok(Opened { response, _connection: connection })
}

fn connector(authorities: &[CertificateDer<'static>]) -> Result<TlsConnector> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for authority in authorities {
        roots.add(authority.clone()).context("a certificate of the file with authorities cannot be used")?;
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(tls)))
}
