//! One GET request, on a connection of its own: there is one in minutes.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, CACHE_CONTROL};
use hyper::{HeaderMap, Request, StatusCode};
use tokio::time::timeout;

use crate::config::JwksConfig;
use crate::outbound::Outbound;

/// How long it may take from looking up the name to the last byte.
const FETCH_LIMIT: Duration = Duration::from_secs(10);

/// Longest document, in bytes. Real ones have a few thousand.
const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// The document, and how long it may be used, where its server says that.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) body: Bytes,
    pub(super) max_age: Option<Duration>,
}

/// Gets one URL. Redirects are not followed: a document that decides who gets in comes from where the
/// operator said, and from nowhere else.
pub(super) struct Fetcher(Outbound);

impl Fetcher {
    pub(super) fn new(config: &JwksConfig) -> Result<Self> {
        Ok(Self(Outbound::new(&config.url, &config.authorities)?))
    }

    pub(super) async fn get(&self) -> Result<Fetched> {
        timeout(FETCH_LIMIT, self.request())
            .await
            .with_context(|| format!("no answer within {FETCH_LIMIT:?}"))?
    }

    async fn request(&self) -> Result<Fetched> {
        let accept = "application/jwk-set+json, application/json";
        let request = Request::get("/").header(ACCEPT, accept).body(Full::default())?;
        let response = self.0.send(request, DOCUMENT_BYTES_MAX).await?;
        let status = response.status();
        if status.is_redirection() {
            bail!(
                "the answer is {status}, and redirects are not followed; set auth.jwks_url to where it leads"
            );
        }
        if status != StatusCode::OK {
            bail!("the answer is {status}");
        }
        let max_age = max_age(response.headers());
        Ok(Fetched { body: response.into_body(), max_age })
    }
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
