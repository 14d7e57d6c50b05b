//! The way that clients come: through proxies that may hold back what should pass at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, UPGRADE};
use hyper::{Method, Request, Response, StatusCode, Uri};
use tokio::time::timeout;

use super::finding::{Finding, bad, good, warning};
use crate::outbound::{Opened, Outbound};

/// For an answer, and for what should come at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Beyond this a message has been held back, not merely been on its way.
const HELD_BACK: Duration = Duration::from_secs(1);

/// Longest answer to a publish, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const SSE: &str = "public.sse";
const WEBSOCKET: &str = "public.websocket";
const BUFFERING: &str = "let the proxy pass on what comes at once: in nginx `proxy_buffering off; proxy_cache off;`, in haproxy `option http-no-delay`, and no compression of text/event-stream";

/// Where and how to ask.
struct Visitor {
    outbound: Outbound,
    /// What stands before the paths of the service, without a slash at its end.
    base: String,
    room: String,
    token: Option<String>,
}

pub(super) async fn findings(
    url: &Uri,
    room: &str,
    token: Option<&str>,
    heartbeat: Duration,
) -> Vec<Finding> {
    let outbound = match Outbound::new(url, &[]) {
        Ok(outbound) => outbound,
        Err(error) => return vec![bad(SSE, format!("{url}: {error:#}"), "correct --url")],
    };
    let base = url.path().trim_end_matches('/').to_owned();
    let visitor = Visitor { outbound, base, room: room.to_owned(), token: token.map(str::to_owned) };
    let mut findings = match visitor.stream(heartbeat).await {
        Ok(findings) => findings,
        Err(finding) => vec![finding],
    };
    findings.push(visitor.websocket().await);
    findings
}

impl Visitor {
    fn target(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn open(
        &self,
        method: Method,
        target: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
    ) -> Result<Opened> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body))?;
        timeout(PATIENCE, self.outbound.open(request))
            .await
            .with_context(|| format!("no answer within {PATIENCE:?}"))?
    }

    /// Opens a stream, and sees how long what is published, or the next heartbeat, takes to come.
    async fn stream(&self, heartbeat: Duration) -> Result<Vec<Finding>, Finding> {
        let target = self.target(&format!("/sse?room={}", self.room));
        let begin = Instant::now();
        let opened = self.open(Method::GET, &target, &[(ACCEPT, "text/event-stream")], Bytes::new()).await;
        let mut opened = opened.map_err(|error| {
            // A proxy that waits for the end of the answer does not pass on its head either.
            let text = format!("no event stream at {}: {error:#}", self.outbound.host());
            bad(SSE, text, format!("see that the node is reached; if it is, {BUFFERING}"))
        })?;
        self.check_head(&opened.response)?;
        let mut stream = Stream { body: opened.response.body_mut(), seen: String::new() };
        if !stream.has("event: connected", PATIENCE).await {
            let text =
                format!("the first event has not come within {PATIENCE:?}: it is held back on the way");
            return Err(bad(SSE, text, BUFFERING));
        }
        let mut findings = vec![good(SSE, format!("an event stream begins after {:.0?}", begin.elapsed()))];
        findings.push(match self.publish().await {
            Ok(mark) => {
                let begin = Instant::now();
                let came = stream.has(&mark, PATIENCE).await;
                delay("a published message", came.then(|| begin.elapsed()), PATIENCE)
            }
            Err(reason) => {
                let limit = heartbeat + PATIENCE;
                let came = stream.has(": ping", limit).await;
                let what = format!("nothing could be published ({reason}); a heartbeat");
                match came {
                    true => good(SSE, format!("{what} has come through, as it should every {heartbeat:?}")),
                    false => bad(SSE, format!("{what} has not come within {limit:?}"), BUFFERING),
                }
            }
        });
        Ok(findings)
    }

    fn check_head(&self, response: &Response<Incoming>) -> Result<(), Finding> {
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let text = format!("the event stream is refused with {status}");
            let remedy = format!("give a token that may subscribe to {} with --token", self.room);
            return Err(bad(SSE, text, remedy));
        }
        let header = |name| {
            let value = response.headers().get(name).map(|value| value.to_str().unwrap_or_default());
            value.unwrap_or_default().to_owned()
        };
        let kind = header(CONTENT_TYPE);
        if status != StatusCode::OK || !kind.starts_with("text/event-stream") {
            let text = format!("the answer to /sse is {status}, {kind:?}, and no event stream");
            return Err(bad(
                SSE,
                text,
                "let the proxy pass /sse on to the nodes, and nothing answer in their place",
            ));
        }
        let encoding = header(CONTENT_ENCODING);
        if !encoding.is_empty() {
            let text =
                format!("the proxy compresses event streams ({encoding}), and holds them back for that");
            return Err(bad(SSE, text, BUFFERING));
        }
        Ok(())
    }

    /// What was published, or why nothing was.
    async fn publish(&self) -> Result<String, String> {
        let mark = format!("doctor-{:016x}", fastrand::u64(..));
        let target = self.target(&format!("/rooms/{}/messages", self.room));
        let body = Bytes::from(mark.clone());
        let headers = [(CONTENT_TYPE, "text/plain"), (CONNECTION, "close")];
        let opened = self.open(Method::POST, &target, &headers, body).await;
        let opened = opened.map_err(|error| format!("{error:#}"))?;
        let status = opened.response.status();
        // Read to its end, so that the proxy sees a client like any other.
        let answer = http_body_util::Limited::new(opened.response.into_body(), ANSWER_BYTES_MAX);
        let _ = timeout(PATIENCE, answer.collect()).await;
        if status == StatusCode::ACCEPTED { Ok(mark) } else { Err(status.to_string()) }
    }

    async fn websocket(&self) -> Finding {
        let target = self.target(&format!("/ws?room={}", self.room));
        let headers = [
            (CONNECTION, "Upgrade"),
            (UPGRADE, "websocket"),
            (HeaderName::from_static("sec-websocket-version"), "13"),
            (HeaderName::from_static("sec-websocket-key"), "cm9vbWNhc3QgZG9jdG9yIQ=="),
        ];
        let remedy = "let the proxy pass on Upgrade: in nginx `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";`";
        match self.open(Method::GET, &target, &headers, Bytes::new()).await {
            Ok(opened) if opened.response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                good(WEBSOCKET, "a WebSocket is upgraded")
            }
            Ok(opened) => {
                let text = format!("a WebSocket is answered with {}", opened.response.status());
                bad(WEBSOCKET, text, remedy)
            }
            Err(error) => bad(WEBSOCKET, format!("a WebSocket is not answered: {error:#}"), remedy),
        }
    }
}

/// What the time says that something took, if it came at all.
fn delay(what: &str, took: Option<Duration>, limit: Duration) -> Finding {
    match took {
        None => {
            bad(SSE, format!("{what} has not come within {limit:?}: it is held back on the way"), BUFFERING)
        }
        Some(took) if took > HELD_BACK => {
            warning(SSE, format!("{what} has come after {took:.0?}: it is held back on the way"), BUFFERING)
        }
        Some(took) => good(SSE, format!("{what} has come after {took:.0?}")),
    }
}

/// The bytes of an event stream so far.
struct Stream<'a> {
    body: &'a mut Incoming,
    seen: String,
}

impl Stream<'_> {
    /// Whether this comes in time.
    async fn has(&mut self, text: &str, limit: Duration) -> bool {
        timeout(limit, async {
            while !self.seen.contains(text) {
                self.read().await?;
            }
            Ok::<_, anyhow::Error>(())
        })
        .await
        .is_ok_and(|read| read.is_ok())
    }

    async fn read(&mut self) -> Result<()> {
        let frame = self.body.frame().await.ok_or_else(|| anyhow!("the stream has ended"))??;
        if let Some(bytes) = frame.data_ref() {
            // A room of others may be busy; what matters is the end.
            if self.seen.len() > ANSWER_BYTES_MAX {
                self.seen.clear();
            }
            self.seen += &String::from_utf8_lossy(bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade::{Fail, Ok as Good, Warn};
    use super::*;

    #[test]
    fn what_is_late_was_held_back() {
        let grade = |took: Option<u64>| delay("it", took.map(Duration::from_millis), PATIENCE).grade;
        assert_eq!((grade(Some(200)), grade(Some(1500)), grade(None)), (Good, Warn, Fail));
    }
}
