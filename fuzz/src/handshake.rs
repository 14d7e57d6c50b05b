//! The first bytes of a client, through the HTTP server to the handshake of a WebSocket: who is accepted is who fulfils
//! RFC 6455, section 4.2.1, and nothing behind an accepted handshake is taken for HTTP.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, Request, Response, Version};
use hyper_util::rt::TokioIo;
use roomcast_transport::fuzzing::{HEAD_BYTES_MAX, HEADERS_MAX, handshake, query};
use sha1_smol::Sha1;

use crate::peer::Peer;
use crate::settings;

/// How often the connection may ask to be polled again: hyper rests after some turns.
const POLLS_MAX: usize = 100_000;

/// One byte for where the bytes are cut in two, then what a client sends.
pub fn run(data: &[u8]) {
    let ([cut], bytes) = settings(data);
    let whole = converse(bytes, bytes.len());
    let pieces = converse(bytes, usize::from(cut).min(bytes.len()));
    assert_eq!(pieces.statuses, whole.statuses, "cut at {cut}");
    // A head that is wrong and not complete is refused at once or not at all, and so is one that looks like HTTP/2.
    let mut outputs = [&whole.output[..], &pieces.output];
    outputs.sort_by_key(|output| output.len());
    let refusal = outputs[1].strip_prefix(outputs[0]).unwrap_or_else(|| panic!("cut at {cut}"));
    assert!(refusal.is_empty() || refusal.starts_with(b"HTTP/1.1 4"), "cut at {cut}");
    if let Some(first) = whole.output.get(..9) {
        assert!(first == b"HTTP/1.1 " || first == b"HTTP/1.0 ", "{:?}", String::from_utf8_lossy(&whole.output));
    }
}

struct Outcome {
    statuses: Vec<u16>,
    output: Vec<u8>,
}

fn converse(bytes: &[u8], cut: usize) -> Outcome {
    let statuses = Rc::new(RefCell::new(Vec::new()));
    let (head, tail) = bytes.split_at(cut);
    let peer = Peer::new(vec![tail.to_vec(), head.to_vec()]);
    let written = peer.written();
    let answered = Rc::clone(&statuses);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let before = answered.borrow().last().copied();
        assert_ne!(before, Some(101), "what follows a handshake is not HTTP");
        let response = answer(&mut request);
        answered.borrow_mut().push(response.status().as_u16());
        async { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(peer), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut context = Context::from_waker(Waker::noop());
    let ended = (0..POLLS_MAX).any(|_| connection.as_mut().poll(&mut context).is_ready());
    assert!(ended, "a connection whose client has gone ends");
    let output = std::mem::take(&mut *written.lock().expect("one thread"));
    Outcome { statuses: statuses.take(), output }
}

fn answer(request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    let json = offers_json(request.headers());
    // Whoever offers subprotocols, but not ours, would not understand us.
    let understands = json || offered(request.headers()).next().is_none();
    // A body could be taken for frames, by one server and not by another.
    let expected = understands && request.body().is_end_stream() && fulfils_the_standard(request);
    let key = request.headers().get("sec-websocket-key").cloned();
    if let Ok((rooms, _)) = query(request.uri()) {
        assert!(rooms.iter().all(|room| !room.as_str().is_empty()));
    }
    let response = handshake(request);
    let headers = response.headers();
    assert_eq!(response.status() == 101, expected, "{request:?}");
    if response.status() == 101 {
        let key = key.expect("an accepted handshake has a key");
        let mut digest = Sha1::from(key.as_bytes());
        digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let accept = STANDARD.encode(digest.digest().bytes());
        assert_eq!(headers["sec-websocket-accept"], accept);
        let protocol = headers.get("sec-websocket-protocol").map(|value| value.as_bytes());
        assert_eq!(protocol, json.then_some(&b"roomcast.v1"[..]));
        assert!(!headers.contains_key("sec-websocket-extensions"), "nothing was agreed");
    } else {
        assert!(matches!(response.status().as_u16(), 400 | 426), "{}", response.status());
        assert_eq!(headers["content-type"], "application/problem+json");
    }
    response
}

/// Section 4.2.1, by its items: HTTP/1.1 (1), `Upgrade: websocket` (3), `Connection: Upgrade` (4), a key of sixteen
/// bytes (5), version 13 (6); the last two once each (11.3.1, 11.3.5).
fn fulfils_the_standard(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    let key = only(headers, "sec-websocket-key").and_then(|key| STANDARD.decode(key).ok());
    request.version() == Version::HTTP_11
        && has_token(headers, "upgrade", "websocket")
        && has_token(headers, "connection", "upgrade")
        && key.is_some_and(|key| key.len() == 16)
        && only(headers, "sec-websocket-version").is_some_and(|version| version == "13")
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

fn offers_json(headers: &HeaderMap) -> bool {
    offered(headers).any(|offered| offered.trim_matches([' ', '\t']) == "roomcast.v1")
}

fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all("sec-websocket-protocol").iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii)
}
