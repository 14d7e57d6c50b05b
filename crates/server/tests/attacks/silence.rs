//! Those who connect and then say nothing, or take for ever to say it.

use std::time::Duration;

use roomcast_bench::{WsClient, request};
use tokio_rustls::rustls::pki_types::ServerName;
use xtask::Authority;

use crate::h2::{self, DATA, END_HEADERS, HEADERS};
use crate::scene::Scene;
use crate::tls::{self, TlsBridge};
use crate::wire::{read_to_end, say, trickle};

/// Limits that a test can wait for.
const SHORT: &[&str] =
    &["limits.first_byte=200ms", "limits.headers=300ms", "limits.body=300ms", "server.heartbeat=1s"];
/// Attackers at once.
const MANY: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Many send this, then the rest byte by byte for ever; each gets an answer that begins like this.
fn crawl(port: u16, head: &[u8], rest: &[u8], expected: &str) {
    let mut streams: Vec<_> = (0..MANY).map(|_| say(port, head)).collect();
    for answer in trickle(&mut streams, rest, PAUSE) {
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            if expected.is_empty() { answer.is_empty() } else { answer.starts_with(expected) },
            "{answer}"
        );
    }
}

#[test]
fn slow_requests() {
    let scene = Scene::start(SHORT);
    scene
        .withstands("a head byte by byte", |port| crawl(port, b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"x", ""));
    scene.withstands("header after header", |port| {
        crawl(port, b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n", "");
    });
    let post = "POST /rooms/slow/messages HTTP/1.1\r\nHost: a\r\n";
    scene.withstands("a body byte by byte", |port| {
        crawl(port, format!("{post}Content-Length: 9999\r\n\r\n").as_bytes(), b"x", "HTTP/1.1 408 ");
    });
    scene.withstands("a body in endless chunks", |port| {
        crawl(
            port,
            format!("{post}Transfer-Encoding: chunked\r\n\r\n").as_bytes(),
            b"1\r\nx\r\n",
            "HTTP/1.1 408 ",
        );
    });
    scene.end();
}

#[test]
fn slow_requests_over_http2() {
    let scene = Scene::start(SHORT);
    // A frame that says it is longer than what comes of it.
    let endless = h2::frame(HEADERS, END_HEADERS, 1, &[0; 16_000]);
    let opening = [&h2::preface()[..], &endless[..9]].concat();
    scene.withstands("the first head byte by byte", |port| {
        let mut streams: Vec<_> = (0..MANY).map(|_| say(port, &opening)).collect();
        for answer in trickle(&mut streams, b"\0", PAUSE) {
            assert!(!h2::has(&answer, HEADERS), "no answer but the connection's own frames");
        }
    });
    let body = h2::frame(HEADERS, END_HEADERS, 1, &h2::request("POST", "/rooms/slow/messages", &[]));
    let opening = [&h2::preface()[..], &body].concat();
    scene.withstands("a body frame by frame", |port| {
        let mut clients: Vec<_> = (0..MANY).map(|_| h2::Client::start(port, &opening)).collect();
        for _ in 0..3 {
            clients.iter_mut().for_each(|client| client.send(&h2::frame(DATA, 0, 1, b"x")));
            std::thread::sleep(PAUSE);
        }
        for client in &mut clients {
            assert!(client.body(1).contains("\"status\":408"));
        }
    });
    scene.end();
}

#[test]
fn silence() {
    let scene = Scene::start(SHORT);
    scene.withstands("connected, and nothing", |port| {
        let mut streams: Vec<_> = (0..MANY).map(|_| say(port, b"")).collect();
        streams.iter_mut().for_each(|stream| assert_eq!(read_to_end(stream), b""));
    });
    scene.withstands_once("a WebSocket, and nothing", |port| {
        let target = |index| if index % 2 == 0 { "/ws?room=silent" } else { "/ws?room=good" };
        let mut clients: Vec<_> =
            (0..MANY).map(|index| WsClient::raw(port, target(index)).unwrap()).collect();
        clients.iter_mut().for_each(|client| assert_eq!(client.close_code().unwrap(), Some(1008)));
    });
    assert!(scene.metric("roomcast_silent_peers_total", "") >= MANY as f64);
    // One that holds back the end of a header block after its first request cannot answer pings either.
    let first = h2::frame(HEADERS, END_HEADERS | h2::END_STREAM, 1, &h2::request("GET", "/", &[]));
    let unfinished = h2::frame(HEADERS, 0, 3, &h2::request("GET", "/", &[]));
    let opening = [&h2::preface()[..], &first, &unfinished].concat();
    scene.withstands_once("an HTTP/2 head without its end", |port| {
        let mut streams: Vec<_> = (0..MANY).map(|_| say(port, &opening)).collect();
        streams.iter_mut().for_each(|stream| drop(read_to_end(stream)));
    });
    scene.end();
}

/// Good clients need no token here; those in no room have ten seconds to show one. Meanwhile others bring tokens
/// that are none.
#[test]
fn no_token() {
    let scene = Scene::start(&[
        "auth.keys=HS256:text:a secret of thirty-two bytes or more",
        "namespaces.default.subscribe=anyone",
        "namespaces.default.publish=anyone",
    ]);
    let long = "x".repeat(8_000);
    scene.withstands_once("JSON mode, and no token", |port| {
        let mut clients: Vec<_> = (0..MANY).map(|_| WsClient::json(port, "/ws").unwrap()).collect();
        for token in ["x", "x.y.z", "eyJhbGciOiJub25lIn0.e30.", &long] {
            let bearer = format!("Bearer {token}");
            for _ in 0..MANY {
                let answer =
                    request(port, "GET", "/sse?room=good", &[("Authorization", &bearer)], b"").unwrap();
                assert_eq!(answer.status, 401, "{token}: {}", answer.text());
            }
        }
        clients.iter_mut().for_each(|client| assert_eq!(client.close_code().unwrap(), Some(4401)));
    });
    assert!(scene.metric("roomcast_closes_total", "4401") >= MANY as f64);
    scene.end();
}

#[test]
fn silence_before_tls() {
    let authority = Authority::new().unwrap();
    let certificate = authority.issue("node", &["localhost"], 2050).unwrap().setting();
    let certificate = format!("tls.certificates={certificate}");
    let mut bridge = None;
    let settings = [&SHORT[..3], &[&certificate]].concat();
    let scene = Scene::start_behind(&settings, |node| {
        bridge.insert(TlsBridge::start(node.port(), &authority)).port()
    });
    let hello = tls::client_hello(&authority, ServerName::try_from("localhost").unwrap());
    for (name, said) in [
        ("connected to TLS, and nothing", &b""[..]),
        ("half a ClientHello, and nothing", &hello[..hello.len() / 2]),
        ("a ClientHello, and nothing", &hello),
    ] {
        scene.withstands(name, |port| {
            let mut streams: Vec<_> = (0..MANY).map(|_| say(port, said)).collect();
            for stream in &mut streams {
                let answer = read_to_end(stream);
                assert!(answer.is_empty() || answer[0] == tls::HANDSHAKE_RECORD, "{answer:?}");
            }
        });
    }
    assert!(scene.metric("roomcast_connections_refused_total", "tls") >= 3.0 * MANY as f64);
    scene.end();
}
