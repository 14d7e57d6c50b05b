//! `GET /poll`: long-poll. Nothing is kept on the node between two polls; the cursor has it all, and any
//! node answers any poll.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use roomcast_protocol::{Room, WireForm};
use roomcast_session::Session;
use tokio::time::timeout;

use crate::body::Body;
use crate::connection::Context;
use crate::credentials;
use crate::limits::{POLL_WAIT_DEFAULT, POLL_WAIT_MAX};
use crate::problem::Problem;
use crate::query::Query;

/// Waits until a room has something, or until the time is up.
pub(crate) async fn answer(
    request: &Request<Incoming>,
    context: &Rc<Context>,
) -> Result<Response<Body>, Problem> {
    let query = Query::parse(request.uri())?;
    if query.rooms.is_empty() {
        return Err(Problem::bad_request("name at least one room: /poll?room=NAME"));
    }
    if context.draining.is_cancelled() {
        return Err(Problem::unavailable("this node is shutting down; poll again"));
    }
    let wait = query.wait_s.map_or(POLL_WAIT_DEFAULT, Duration::from_secs).min(POLL_WAIT_MAX);
    let identity = credentials::admit(request, &query, context).await?;
    let session = Session::begin(&context.core, WireForm::Poll, None, &query.rooms, identity).await?;
    // Who may not stay does not wait.
    let wait = session.time_left().map_or(wait, |left| left.min(wait));
    let reset = session.greet(query.after(request.headers())).await?;
    // Who is told that something is missing should not wait to hear it.
    if reset.is_empty() {
        let something = poll_fn(|task| session.outbox().poll_ready(task));
        tokio::select! {
            _ = timeout(wait, something) => {}
            () = context.draining.cancelled() => {}
        }
    }
    Ok(respond(&session, &reset))
}

fn respond(session: &Session, reset: &[Room]) -> Response<Body> {
    let mut body = BytesMut::from(&b"{\"messages\":["[..]);
    let mut first = true;
    // Everything that the cursor speaks of is in the outbox, and all of it is taken: nothing runs in between.
    while let Some(message) = session.outbox().take() {
        if !std::mem::take(&mut first) {
            body.put_u8(b',');
        }
        body.put_slice(&message);
    }
    let cursor = session.cursor().map(|cursor| cursor.to_string());
    let reset: Vec<_> = reset.iter().map(Room::as_str).collect();
    let rest = serde_json::json!({ "cursor": cursor, "reset": reset }).to_string();
    body.put_slice(b"],");
    body.put_slice(&rest.as_bytes()[1..]);
    let mut response = Response::new(Body::from(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
