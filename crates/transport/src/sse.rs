//! `GET /sse`: a stream of events (HTML standard, section 9.2).

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, Version};
use roomcast_protocol::WireForm;
use roomcast_session::Session;

use crate::body::Body;
use crate::connection::Context;
use crate::credentials;
use crate::problem::Problem;
use crate::query::Query;

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
    // What the browser remembers is newer than what the page once put into the URL.
    let remembered = request.headers().get("last-event-id").map(|id| id.to_str().unwrap_or_default());
    let after = remembered.filter(|id| !id.is_empty()).or(query.after.as_deref());
    let form = if query.json { WireForm::SseJson } else { WireForm::Sse };
    let identity = credentials::admit(request, &query, context).await?;
    let session = Session::begin(&context.core, form, None, &query.rooms, identity).await?;
    session.greet(after).await?;

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
