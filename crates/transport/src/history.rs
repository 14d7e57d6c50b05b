//! `GET /rooms/{room}/history`: what a room has kept, page by page.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use roomcast_protocol::{Room, reply};

use crate::body::Body;
use crate::connection::Context;
use crate::problem::Problem;
use crate::query::Query;

/// The same object that JSON mode answers with. To read on, ask again with `after=` the last id.
pub(crate) async fn answer(
    request: &Request<Incoming>,
    room: Room,
    context: &Rc<Context>,
) -> Result<Response<Body>, Problem> {
    let query = Query::parse(request.uri())?;
    let page = context.core.history(&room, query.after.as_deref(), query.limit).await?;
    let mut response = Response::new(Body::from(reply::history(&room, page.top, &page.messages, None)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
