//! Doors for the fuzz targets: what the first bytes of a client reach before there is a session.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use roomcast_protocol::Room;

use crate::problem::Problem;
use crate::query::Query;
use crate::{handshake, limits, router};

/// Longest request head, in bytes.
pub const HEAD_BYTES_MAX: usize = limits::HEAD_BYTES_MAX;
/// Most header fields of a request.
pub const HEADERS_MAX: usize = limits::HEADERS_MAX;

/// The answer to the handshake of a WebSocket.
pub fn handshake(request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    match handshake::wants_json(request).and_then(|json| handshake::accept(request, json)) {
        Ok(response) => response.map(|_| Full::default()),
        Err(problem) => problem.into_response(),
    }
}

/// Room and resource of `/rooms/{room}/{resource}`; the status of the answer where the path is wrong.
pub fn room_in_path(path: &str) -> Result<Option<(Room, &str)>, u16> {
    router::room_resource(path).map_err(status)
}

/// The rooms of a URL's query and the cursor in it; the status of the answer where the query is wrong.
pub fn query(uri: &Uri) -> Result<(Vec<Room>, Option<String>), u16> {
    Query::parse(uri).map(|query| (query.rooms, query.after)).map_err(status)
}

fn status(problem: Problem) -> u16 {
    problem.into_response::<Bytes>().status().as_u16()
}
