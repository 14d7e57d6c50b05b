//! Who is let in and how long that may take, on the running binary: refused, and allowed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufReader, Read, Write};

use roomcast_bench::http::{connect, read_response};
use roomcast_bench::{Response, SseClient, WsClient, request};
use xtask::{Node, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

fn start(settings: &[&str]) -> Node {
    let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Node::start(BINARY, &arguments).unwrap()
}

fn get(node: &Node, headers: &[(&str, &str)]) -> Response {
    request(node.port(), "GET", "/", headers, b"").unwrap()
}

#[track_caller]
fn check(response: &Response, status: u16, detail: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert!(response.text().contains(detail), "{}", response.text());
}

#[test]
fn an_address_has_so_many_connections() {
    let node = start(&["limits.connections_per_address=3"]);
    let refused = || node.metric("roomcast_connections_refused_total", "address").unwrap();
    let socket = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    let mut stream = SseClient::open(node.port(), "/sse?room=a").unwrap();
    let idle = connect(node.port()).unwrap();
    // Read without asking first: what is refused is not read.
    let mut fourth = BufReader::new(connect(node.port()).unwrap());
    check(&read_response(&mut fourth).unwrap(), 429, "as many connections as it may");
    assert_eq!(refused(), 1.0);
    drop(idle);
    wait_until("there is a place again", || get(&node, &[]).status == 200);
    drop(socket);
    let socket = || WsClient::connect(node.port(), "/ws?room=a", &[]);
    wait_until("the WebSocket's place is free", || matches!(socket(), Ok(Ok(_))));
    let answer = request(node.port(), "POST", "/rooms/a/messages", &[], b"still there").unwrap();
    assert_eq!(answer.status, 202);
    assert_eq!(stream.event().unwrap().data, "still there");
}

#[test]
fn streams_behind_a_proxy_are_counted_for_their_client() {
    let node = start(&["limits.connections_per_address=2", "server.trusted_proxies=127.0.0.0/8"]);
    let from = |client| [("X-Forwarded-For", client)];
    let mut socket = WsClient::connect(node.port(), "/ws?room=a", &from("192.0.2.1")).unwrap().unwrap();
    let stream = SseClient::connect(node.port(), "/sse?room=a", &from("192.0.2.1")).unwrap().unwrap();
    check(&get(&node, &from("192.0.2.1")), 429, "as many connections as it may");
    assert_eq!(get(&node, &from("192.0.2.2")).status, 200);
    assert_eq!(get(&node, &[]).status, 200, "the proxy's own");
    assert_eq!(node.metric("roomcast_connections_refused_total", "address").unwrap(), 1.0);
    drop(stream);
    wait_until("the stream's place is free", || get(&node, &from("192.0.2.1")).status == 200);
    let _stream = SseClient::connect(node.port(), "/sse?room=a", &from("192.0.2.1")).unwrap().unwrap();
    assert_eq!(get(&node, &from("192.0.2.1")).status, 429, "the WebSocket still has the other");
    socket.send_frame(0x88, &1000_u16.to_be_bytes()).unwrap();
    assert_eq!(socket.close_code().unwrap(), Some(1000));
    wait_until("the WebSocket's place is free", || get(&node, &from("192.0.2.1")).status == 200);
}

#[test]
fn connections_come_no_faster_than_they_may() {
    let node = start(&["limits.handshakes_per_second=1", "limits.handshakes_burst=5"]);
    let mut socket = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    let answers: Vec<_> = (0..20)
        .map(|_| read_response(&mut BufReader::new(half_asked(&node))).unwrap())
        .filter(|response| response.status != 400)
        .collect();
    assert!(!answers.is_empty(), "the burst is over");
    answers.iter().for_each(|answer| check(answer, 503, "no more connections in this second"));
    assert_eq!(node.metric("roomcast_connections_refused_total", "rate").unwrap(), answers.len() as f64);
    // Those who are in do not notice, and a second later others come in.
    socket.send_text("alive").unwrap();
    wait_until("there is a token again", || get_if_let_in(&node) == Some(200));
}

/// A connection that gets an answer whether it is let in or not: 400, if it is.
fn half_asked(node: &Node) -> std::net::TcpStream {
    let mut stream = connect(node.port()).unwrap();
    let _ = stream.write_all(b"\r\r\r\r\r\r\r\r");
    stream
}

/// A refused connection may be reset before the answer is read.
fn get_if_let_in(node: &Node) -> Option<u16> {
    Some(request(node.port(), "GET", "/", &[], b"").ok()?.status)
}

#[test]
fn the_slow_are_not_waited_for() {
    let node = start(&["limits.first_byte=300ms", "limits.headers=500ms", "limits.body=700ms"]);
    // Nothing, a part of a head, an HTTP/2 connection without a request, and a part of what begins one.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    for said in [&b""[..], b"GET / HTTP/1.1\r\nHost: ", preface, &preface[..3], &preface[..12]] {
        let mut stream = connect(node.port()).unwrap();
        stream.write_all(said).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    let mut stream = connect(node.port()).unwrap();
    stream.write_all(b"POST /rooms/a/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf").unwrap();
    let answer = read_response(&mut BufReader::new(stream)).unwrap();
    assert_eq!(answer.status, 408, "{}", answer.text());
    // A stream lasts longer than all of these.
    let mut stream = SseClient::open(node.port(), "/sse?room=a").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(request(node.port(), "POST", "/rooms/a/messages", &[], b"on").unwrap().status, 202);
    assert_eq!(stream.event().unwrap().data, "on");
}
