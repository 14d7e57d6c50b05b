//! One GET request, on a connection of its own: there is one in minutes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CACHE_CONTROL, HOST, USER_AGENT};
use hyper::http::uri::Scheme;
use hyper::{HeaderMap, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_util::task::AbortOnDropHandle;

use crate::config::JwksConfig;

/// How long it may take from looking up the name to the last byte.
const FETCH_LIMIT: Duration = Duration::from_secs(10);

/// Longest document, in bytes. Real ones have a few thousand.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// Longest head of the answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The document, and how long it may be used, where its server says that.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) body: Bytes,
    pub(super) max_age: Option<Duration>,
}

/// Gets one URL. Redirects are not followed: a document that decides who gets in comes from where the
/// operator said, and from nowhere else.
pub(super) struct Fetcher {
    url: Uri,
    host: String,
    /// None for plain HTTP.
    tls: Option<TlsConnector>,
}

impl Fetcher {
    pub(super) fn new(config: &JwksConfig) -> Result<Self> {
        let url = config.url.clone();
        // An IPv6 address stands in brackets.
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tls = if url.scheme() == Some(&Scheme::HTTPS) { Some(connector(config)?) } else { None };
        Ok(Self { url, host, tls })
    }

    pub(super) async fn get(&self) -> Result<Fetched> {
        let get = async {
            let port = self.url.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
            let socket = TcpStream::connect((&*self.host, port)).await.context("cannot connect")?;
            match &self.tls {
                None => self.request(socket).await,
                Some(tls) => {
                    let name =
                        ServerName::try_from(self.host.clone()).context("the host has no valid name")?;
                    let socket = tls.connect(name, socket).await.context("no TLS connection")?;
                    self.request(socket).await
                }
            }
        };
        timeout(FETCH_LIMIT, get).await.with_context(|| format!("no answer within {FETCH_LIMIT:?}"))?
    }

    async fn request<S>(&self, socket: S) -> Result<Fetched>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(socket)).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let target = self.url.path_and_query().map_or("/", |target| target.as_str());
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(target)
            .header(HOST, authority)
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(USER_AGENT, concat!("roomcast/", env!("CARGO_PKG_VERSION")))
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await.context("no answer")?;
        let status = response.status();
        if status.is_redirection() {
            bail!(
                "the answer is {status}, and redirects are not followed; set auth.jwks_url to where it leads"
            );
        }
        if status != hyper::StatusCode::OK {
            bail!("the answer is {status}");
        }
        let max_age = max_age(response.headers());
        let body = match Limited::new(response.into_body(), DOCUMENT_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                bail!("the answer has no good end, or more than {DOCUMENT_BYTES_MAX} bytes: {error}")
            }
        };
        Ok(Fetched { body, max_age })
    }
}

fn connector(config: &JwksConfig) -> Result<TlsConnector> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for authority in &config.authorities {
        roots.add(authority.clone()).context("auth.jwks_ca has a certificate that cannot be used")?;
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(tls)))
}

/// How long a document may be used (RFC 9111 section 5.2.2), no time at all for one that should not
/// be kept.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut age = None;
    for directive in values.flat_map(|value| value.split(',')).map(str::trim) {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        if let Some((name, seconds)) = directive.split_once('=')
            && name.trim().eq_ignore_ascii_case("max-age")
        {
            age = seconds.trim().trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    age
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_documents_may_be_used() {
        let cases = [
            (vec![], None),
            (vec!["max-age=300"], Some(300)),
            (vec!["public, Max-Age = \"60\", must-revalidate"], Some(60)),
            (vec!["public", "max-age=7"], Some(7)),
            (vec!["no-store"], Some(0)),
            (vec!["max-age=60, no-cache"], Some(0)),
            (vec!["max-age=x"], None),
            (vec!["max-age=-1"], None),
            (vec!["max-age=99999999999999999999"], None),
            (vec!["s-maxage=5"], None),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(CACHE_CONTROL, value.parse().unwrap());
            }
            assert_eq!(max_age(&headers), expected.map(Duration::from_secs), "{values:?}");
        }
    }
}
