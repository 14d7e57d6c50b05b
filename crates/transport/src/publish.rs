//! `POST /rooms/{room}/messages`: the body is the message.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, EXPECT, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use roomcast_protocol::payload::is_json;
use roomcast_protocol::{EventName, Payload, PayloadKind, Room, TraceParent};
use tokio::time::timeout;

use crate::body::Body;
use crate::connection::Context;
use crate::credentials;
use crate::limits::{EXCESS_BYTES_MAX, EXCESS_LIMIT};
use crate::problem::Problem;
use crate::query::Query;

/// `202 {"id":…}` once the broker has the message.
pub(crate) async fn answer(
    request: Request<Incoming>,
    room: Room,
    context: &Rc<Context>,
) -> Result<Response<Body>, Problem> {
    let query = Query::parse(request.uri())?;
    // Before the body: who may not publish does not make the node read.
    let identity = credentials::admit(&request, &query, context).await?;
    context.core.may_publish(&identity, &room)?;
    let event = EventName::parse(&query.event).map_err(|error| Problem::bad_request(error.to_string()))?;
    let max = context.core.settings().namespaces.of(&room).max_message_bytes;
    let limit = context.http.load().gate.body;
    let kind = kind(request.headers());
    let key = key(request.headers())?;
    let parent =
        request.headers().get("traceparent").and_then(|value| TraceParent::parse(value.to_str().ok()?));
    let payload = payload(kind, read(request, &room, max, limit).await?)?;
    let position = context.core.publish_http(&identity, room, event, payload, key, parent).await?;
    let body = serde_json::json!({ "id": position.map(|position| position.to_string()) });
    let mut response = Response::new(Body::from(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// `Idempotency-Key`: the same key again publishes nothing and answers the first id.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let key = headers.get("idempotency-key").map(|key| key.to_str().map(str::to_owned));
    key.transpose().map_err(|_| Problem::bad_request("Idempotency-Key must be printable ASCII"))
}

/// What the sender says that the body is. `curl -d` says that it is a form, and never means it.
fn kind(headers: &HeaderMap) -> PayloadKind {
    let Some(content_type) = headers.get(CONTENT_TYPE) else { return PayloadKind::Untyped };
    let content_type = content_type.to_str().unwrap_or_default().to_ascii_lowercase();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    match essence {
        "application/json" => PayloadKind::Json,
        "" | "application/x-www-form-urlencoded" => PayloadKind::Untyped,
        _ if essence.ends_with("+json") => PayloadKind::Json,
        _ if essence.starts_with("text/") => PayloadKind::Text,
        _ => PayloadKind::Bytes,
    }
}

fn payload(kind: PayloadKind, bytes: Bytes) -> Result<Payload, Problem> {
    let text = std::str::from_utf8(&bytes).ok();
    match kind {
        PayloadKind::Json if !text.is_some_and(is_json) => {
            Err(Problem::bad_request("the body is not JSON, although Content-Type says so"))
        }
        PayloadKind::Text if text.is_none() => {
            Err(Problem::bad_request("the body is not UTF-8, although Content-Type says that it is text"))
        }
        _ => Ok(Payload::new(kind, bytes)),
    }
}

async fn read(
    request: Request<Incoming>,
    room: &Room,
    max: usize,
    limit: Duration,
) -> Result<Bytes, Problem> {
    match timeout(limit, collect(request, max)).await {
        Ok(Ok(Some(whole))) => Ok(whole),
        Ok(Ok(None)) => {
            let detail = format!("a message of {room} may have {max} bytes at most");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail))
        }
        Ok(Err(_)) => Err(Problem::bad_request("the body ended too early")),
        Err(_) => {
            let detail = format!("the body did not come within {limit:?}");
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail))
        }
    }
}

type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The whole body; none if it is longer than `max`.
async fn collect(request: Request<Incoming>, max: usize) -> Result<Option<Bytes>, BodyError> {
    let asks_first = request.headers().contains_key(EXPECT);
    let mut body = request.into_body();
    if body.size_hint().lower() <= max as u64 {
        match Limited::new(&mut body, max).collect().await {
            Ok(whole) => return Ok(Some(whole.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(error) => return Err(error),
        }
    } else if asks_first {
        // Nothing has been sent yet, and nothing need be.
        return Ok(None);
    }
    let _ = timeout(EXCESS_LIMIT, discard(body)).await;
    Ok(None)
}

/// Reads on and forgets, within a bound: clients that are cut off while they send often do not look
/// for the answer, and curl over HTTP/2 reports a broken stream.
async fn discard(mut body: Incoming) {
    let mut left = EXCESS_BYTES_MAX;
    if body.size_hint().lower() > left as u64 {
        return;
    }
    while let Some(Ok(frame)) = body.frame().await {
        let len = frame.data_ref().map_or(0, Bytes::len);
        if len > left {
            return;
        }
        left -= len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let cases = [
            ("application/json", PayloadKind::Json),
            ("Application/JSON; charset=utf-8", PayloadKind::Json),
            ("application/ld+json", PayloadKind::Json),
            ("text/plain", PayloadKind::Text),
            ("application/x-www-form-urlencoded", PayloadKind::Untyped),
            ("application/octet-stream", PayloadKind::Bytes),
            ("image/png", PayloadKind::Bytes),
        ];
        for (value, expected) in cases {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(kind(&headers), expected, "{value}");
        }
        assert_eq!(kind(&HeaderMap::new()), PayloadKind::Untyped);
        assert!(payload(PayloadKind::Json, Bytes::from_static(b"{")).is_err());
        assert!(payload(PayloadKind::Text, Bytes::from_static(b"\xff")).is_err());
        assert!(payload(PayloadKind::Bytes, Bytes::from_static(b"\xff")).is_ok());
    }
}
