//! `GET /sse`: a stream of events (HTML standard, section 9.2).

use std::future::poll_fn;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, Version};
use roomcast_protocol::WireForm;
use roomcast_session::Session;
use tokio::time::timeout;

use crate::body::Body;
use crate::connection::Context;
use crate::credentials;
use crate::downstream::Downstream;
use crate::limits::{CLOSE_LIMIT, HEAD_BYTES_MAX};
use crate::problem::Problem;
use crate::query::Query;
use crate::socket::with_scratch;
use crate::writer::write_queued;

/// The stream of the rooms that the URL names.
pub(crate) async fn open(
    request: &Request<Incoming>,
    context: &Rc<Context>,
) -> Result<Response<Body>, Problem> {
    let query = Query::parse(request.uri())?;
    if query.rooms.is_empty() {
        return Err(Problem::bad_request("name at least one room: /sse?room=NAME"));
    }
    if context.draining.is_cancelled() {
        return Err(Problem::unavailable("this node is shutting down; connect again"));
    }
    let form = if query.json { WireForm::SseJson } else { WireForm::Sse };
    let identity = credentials::admit(request, &query, context).await?;
    let session = Session::begin(&context.core, form, None, &query.rooms, identity).await?;
    session.greet(query.after(request.headers())).await?;

    let mut response = Response::new(Body::Stream(Box::new(session)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if request.version() <= Version::HTTP_11 {
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    }
    Ok(response)
}

/// A stream over HTTP/1.1: written until the conversation is to end, or the client is gone. `early` bytes have come
/// behind the request.
pub(crate) async fn run(downstream: &Downstream, session: &Session, early: usize) {
    tokio::select! {
        biased;
        written = write_queued(downstream, session.outbox()) => if written.is_err() {
            return;
        },
        () = gone(downstream, early) => return,
    }
    Box::pin(async {
        if matches!(timeout(CLOSE_LIMIT, downstream.end()).await, Ok(Ok(()))) {
            // Reading on keeps the kernel from answering late data with a reset, which would take the end of the
            // stream away from the client.
            let _ = timeout(CLOSE_LIMIT, gone(downstream, early)).await;
        }
    })
    .await;
}

/// Waits until the client is gone. It has nothing to say: requests behind that for a stream would never be answered,
/// and who sends more than one could be long is cut off.
async fn gone(downstream: &Downstream, mut heard: usize) {
    while heard <= HEAD_BYTES_MAX {
        match poll_fn(|task| with_scratch(|scratch| downstream.poll_read(task, scratch))).await {
            Ok(0) | Err(_) => return,
            Ok(len) => heard += len,
        }
    }
}
