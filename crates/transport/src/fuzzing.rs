//! Doors for the fuzz targets: what the first bytes of a client reach before there is a session.

use std::io;
use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Request, Response, Uri};
use ipnet::IpNet;
use roomcast_protocol::Room;
use tokio::net::TcpStream;

use crate::problem::Problem;
use crate::query::Query;
use crate::{client, handshake, limits, origin, proxy_protocol, router};

/// Longest request head, in bytes.
pub const HEAD_BYTES_MAX: usize = limits::HEAD_BYTES_MAX;
/// Most header fields of a request.
pub const HEADERS_MAX: usize = limits::HEADERS_MAX;

/// The answer to the handshake of a WebSocket.
pub fn handshake(request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    match handshake::wants_json(request).and_then(|json| handshake::accept(request, json, None)) {
        Ok((response, _)) => response.map(|_| Full::default()),
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

/// Takes the header of the PROXY protocol off a connection; `None` where the proxy speaks for itself.
pub async fn proxy_header(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    proxy_protocol::read(stream).await
}

/// The client that these lines of `X-Forwarded-For` tell, behind trusted proxies; `None` where one of them is no value
/// of a header.
#[expect(clippy::result_unit_err, reason = "there is one way to be wrong")]
pub fn forwarded_for(lines: &[&[u8]], proxies: &[IpNet]) -> Option<Result<Option<IpAddr>, ()>> {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("x-forwarded-for", HeaderValue::from_bytes(line).ok()?);
    }
    Some(client::forwarded_for(&headers, proxies).map_err(|_| ()))
}

/// Whether a page of this origin may use a service of that name; `None` where one of them is no value of a header.
pub fn page_is_allowed(page: &str, host: &str, allowed: &[String]) -> Option<bool> {
    let request = Request::builder().uri("/ws").header(HOST, host).header(ORIGIN, page).body(()).ok()?;
    Some(origin::check(&request, allowed).is_ok())
}

/// Whether the service goes by this name, which may have a port; `None` where it is no value of a header.
pub fn host_is_known(host: &str, hosts: &[String]) -> Option<bool> {
    let request = Request::builder().uri("/ws").header(HOST, host).body(()).ok()?;
    Some(origin::check_host(&request, hosts).is_ok())
}

fn status(problem: Problem) -> u16 {
    problem.into_response::<Bytes>().status().as_u16()
}
