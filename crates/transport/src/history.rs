//! `GET /rooms/{room}/history` and `…/presence`: what a room has kept, page by page, and who is there.

use std::rc::Rc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use roomcast_protocol::{Room, reply};

use crate::body::Body;
use crate::connection::Context;
use crate::credentials;
use crate::problem::Problem;
use crate::query::Query;

/// The same object that JSON mode answers with. To read on, ask again with `after=` the last id.
pub(crate) async fn answer(
    request: &Request<Incoming>,
    room: Room,
    context: &Rc<Context>,
) -> Result<Response<Body>, Problem> {
    let query = Query::parse(request.uri())?;
    let identity = credentials::admit(request, &query, context).await?;
    let page = context.core.history(&identity, &room, query.after.as_deref(), query.limit).await?;
    Ok(json(reply::history(&room, page.top, &page.messages, None)))
}

/// The same object that JSON mode answers with.
pub(crate) async fn members(
    request: &Request<Incoming>,
    room: Room,
    context: &Rc<Context>,
) -> Result<Response<Body>, Problem> {
    let query = Query::parse(request.uri())?;
    let identity = credentials::admit(request, &query, context).await?;
    let members = context.core.members(&identity, &room).await?;
    Ok(json(reply::members(&room, &members, None)))
}

fn json(body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
