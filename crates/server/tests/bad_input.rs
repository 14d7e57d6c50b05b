//! What a mistaken or hostile client sends: a clear error for the guilty one, nothing for the
//! others, and nothing left behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufReader, Read as _, Write as _};

use roomcast_bench::http::{connect, read_response};
use roomcast_bench::{Response, SseClient, WsClient, request};
use xtask::{Node, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

fn send(port: u16, bytes: &[u8]) -> Response {
    let mut stream = connect(port).unwrap();
    stream.write_all(bytes).unwrap();
    read_response(&mut BufReader::new(stream)).unwrap()
}

#[track_caller]
fn check(response: &Response, status: u16, detail: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert!(response.text().contains(detail), "{detail:?} is missing in {}", response.text());
    assert!(response.text().contains(&format!("\"status\":{status}")));
}

#[test]
fn requests_are_refused_with_a_reason() {
    let node = Node::start(BINARY, &[]).unwrap();
    let port = node.port();
    let long = format!("/sse?room={}", "r".repeat(9000));
    let cases = [
        ("GET", "/sse", 400, "name at least one room"),
        ("GET", "/sse?room=", 400, "must not be empty"),
        ("GET", "/sse?room=a%20b", 400, "A-Z a-z 0-9"),
        ("GET", "/sse?room=a&format=xml", 400, "format must be"),
        ("GET", "/sse?room=@alice", 403, "personal room"),
        ("GET", "/nothing", 404, "nothing is here"),
        ("GET", "/rooms/a/messages", 405, "takes POST only"),
        ("POST", "/sse?room=a", 405, "takes GET only"),
        ("DELETE", "/", 405, "takes GET only"),
        ("POST", "/rooms/a%2Fb/messages", 400, "A-Z a-z 0-9"),
        ("POST", "/rooms/a/messages?event=a%0Ab", 400, "control characters"),
        ("POST", "/rooms/a/messages?event=reset", 400, "gateway's own"),
        ("GET", "/ws?room=a", 426, "WebSocket"),
        ("GET", &long, 414, "8192 bytes"),
    ];
    for (method, target, status, detail) in cases {
        let response = request(port, method, target, &[], b"").unwrap();
        check(&response, status, detail);
        assert_eq!(response.header("allow").is_some(), status == 405, "{method} {target}");
    }
    let rooms: Vec<_> = (0..129).map(|i| format!("room=r{i}")).collect();
    check(
        &request(port, "GET", &format!("/sse?{}", rooms.join("&")), &[], b"").unwrap(),
        400,
        "128 rooms at most",
    );
    let post = |content_type, body: &[u8]| {
        request(port, "POST", "/rooms/a/messages", &[("Content-Type", content_type)], body).unwrap()
    };
    check(&post("application/json", b"{"), 400, "not JSON");
    check(&post("text/plain", b"\xff"), 400, "not UTF-8");
    check(&post("text/plain", &vec![b'x'; 65_537]), 413, "65536 bytes at most");
    let chunked = b"POST /rooms/a/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless =
        [&chunked[..], b"10000\r\n", &[b'x'; 65_536], b"\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"].concat();
    check(&send(port, &endless), 413, "65536 bytes at most");
}

#[test]
fn broken_http_is_refused() {
    let node = Node::start(BINARY, &[]).unwrap();
    let big_header = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(70_000));
    let many_headers = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(200));
    for (bytes, status) in
        [("hello\r\n\r\n", 400), (&big_header, 431), (&many_headers, 431), ("GET / HTTP/9.9\r\n\r\n", 400)]
    {
        let mut stream = connect(node.port()).unwrap();
        let _ = stream.write_all(bytes.as_bytes());
        let response = read_response(&mut BufReader::new(stream)).unwrap();
        assert_eq!(response.status, status, "{:?}", &bytes[..20.min(bytes.len())]);
    }
    // Half a preface of HTTP/2, then the rest of something else.
    let response = send(node.port(), b"PRIx / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(response.status, 405);
}

#[test]
fn handshakes_are_checked() {
    let node = Node::start(BINARY, &[]).unwrap();
    let port = node.port();
    let handshake =
        |headers: &str| send(port, format!("GET /ws?room=a HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    check(&handshake(&format!("{upgrade}{version}")), 400, "Sec-WebSocket-Key");
    check(&handshake(&format!("{upgrade}{version}Sec-WebSocket-Key: short\r\n")), 400, "16 random bytes");
    for twice in [format!("{key}{key}{version}"), format!("{key}{version}{version}")] {
        check(&handshake(&format!("{upgrade}{twice}")), 400, "more than once");
    }
    let old = handshake(&format!("{upgrade}{key}Sec-WebSocket-Version: 8\r\n"));
    check(&old, 426, "Sec-WebSocket-Version: 13");
    assert_eq!(old.header("sec-websocket-version"), Some("13"));
    check(&handshake(&format!("Connection: close\r\n{key}{version}")), 426, "Upgrade: websocket");
    let old = format!("GET /ws?room=a HTTP/1.0\r\nHost: x\r\n{upgrade}{key}{version}\r\n");
    check(&send(port, old.as_bytes()), 400, "begins with HTTP/1.1");
    let raw = |target: &str| WsClient::connect(port, target, &[]).unwrap();
    check(&raw("/ws?room=a%20b").unwrap_err(), 400, "A-Z a-z 0-9");
    check(&raw("/ws?room=a&room=b").unwrap_err(), 400, "raw mode takes one room");
    let protocol =
        |names: &str| WsClient::connect(port, "/ws?room=a", &[("Sec-WebSocket-Protocol", names)]).unwrap();
    check(&protocol("graphql-ws, mqtt").unwrap_err(), 400, "the only subprotocol is roomcast.v1");
    assert!(protocol("mqtt, roomcast.v1").is_ok());
    // A page in a browser cannot read a status, but the code of a close.
    assert_eq!(raw("/ws?room=@bob").unwrap().close_code().unwrap(), Some(4403));
    assert_eq!(raw("/ws").unwrap().close_code().unwrap(), Some(4001));
    assert_eq!(node.metric("roomcast_http_refusals_total", "426").unwrap(), 2.0);
}

#[test]
fn commands_are_refused_with_a_reason_and_the_conversation_goes_on() {
    let node = Node::start(BINARY, &["--set", "namespaces.news.publish=server"]).unwrap();
    let mut client = WsClient::json(node.port(), "/ws").unwrap();
    let big = format!(r#"{{"type":"publish","room":"a","data":"{}","ref":9}}"#, "x".repeat(65_535));
    let cases = [
        ("not json", "bad_request", "not a command"),
        (r#"{"type":"shout","ref":1}"#, "bad_request", "unknown type \\\"shout\\\""),
        (r#"{"type":"subscribe","room":"a b","ref":2}"#, "bad_request", "A-Z a-z 0-9"),
        (r#"{"type":"subscribe","room":"@x","ref":3}"#, "forbidden", "personal room"),
        (r#"{"type":"publish","room":"news:1","data":1}"#, "forbidden", "only backend services"),
        (&big, "too_large", "65536 bytes at most"),
    ];
    for (command, code, message) in cases {
        client.send_text(command).unwrap();
        let answer = client.message().unwrap().text();
        assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
        assert!(answer.contains(message), "{answer}");
    }
    for (code, count) in [("bad_request", 3.0), ("forbidden", 2.0), ("too_large", 1.0)] {
        assert_eq!(node.metric("roomcast_command_errors_total", code).unwrap(), count, "{code}");
    }
    for i in 0..=128 {
        client.send_text(&format!(r#"{{"type":"subscribe","room":"r{i}","ref":{i}}}"#)).unwrap();
        let answer = client.message().unwrap().text();
        let expected = if i < 128 { "\"type\":\"subscribed\"" } else { "\"code\":\"room_limit\"" };
        assert!(answer.contains(expected), "{answer}");
    }
    client.send_text(r#"{"type":"ping","ref":"still here"}"#).unwrap();
    assert_eq!(client.message().unwrap().text(), r#"{"type":"pong","ref":"still here"}"#);
    client.send_binary(b"x").unwrap();
    assert_eq!(client.close_code().unwrap(), Some(1003));
    let mut publisher = WsClient::raw(node.port(), "/ws?room=news:1").unwrap();
    publisher.send_text("x").unwrap();
    assert_eq!(publisher.close_code().unwrap(), Some(4403));
    let mut publisher = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    publisher.send_binary(&[0; 65_537]).unwrap();
    assert_eq!(publisher.close_code().unwrap(), Some(1009));
}

/// Half a frame, half a request and silence cost the others nothing, and end in time.
#[test]
fn silence_is_not_waited_for_for_ever() {
    let node = Node::start(BINARY, &["--set", "server.heartbeat=1s"]).unwrap();
    let mut half_frame = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    half_frame.send_bytes(&[0x81, 0xfe, 0x10]).unwrap();
    let mut silent = WsClient::json(node.port(), "/ws?room=a").unwrap();
    let mut alive = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    // Reading answers pings, and so this one stays, for as long as the others are silent and longer.
    let alive = std::thread::spawn(move || alive.message().unwrap().text());
    let mut half_head = connect(node.port()).unwrap();
    half_head.write_all(b"GET /sse?ro").unwrap();

    assert_eq!(half_frame.close_code().unwrap(), Some(1008));
    assert_eq!(silent.close_code().unwrap(), Some(1008));
    assert_eq!(node.metric("roomcast_silent_peers_total", "").unwrap(), 2.0);
    let mut rest = Vec::new();
    assert!(half_head.read_to_end(&mut rest).is_ok(), "the half request is ended in time");
    request(node.port(), "POST", "/rooms/a/messages", &[], b"hello").unwrap();
    assert_eq!(alive.join().unwrap(), "hello");
    assert_eq!(node.metric("roomcast_silent_peers_total", "").unwrap(), 2.0);
}

#[test]
fn a_client_that_never_reads_is_closed_and_slows_nobody() {
    let settings = ["limits.outbox_bytes=256KiB", "server.heartbeat=2s", "limits.bytes_per_second=0"];
    let node = Node::start(BINARY, &settings.map(|setting| ["--set", setting]).concat()).unwrap();
    let port = node.port();
    let deaf = WsClient::raw(port, "/ws?room=a").unwrap();
    let deaf_stream = SseClient::open(port, "/sse?room=a").unwrap();
    let mut good = WsClient::raw(port, "/ws?room=a").unwrap();
    let mut publisher = WsClient::raw(port, "/ws?room=a").unwrap();
    let payload = vec![b'x'; 60_000];
    for _ in 0..400 {
        publisher.send_binary(&payload).unwrap();
        assert_eq!(good.message().unwrap().payload.len(), payload.len());
    }
    assert!(node.metric("roomcast_slow_consumers_total", "").unwrap() >= 2.0);
    wait_until("both are gone, although they never read", || {
        node.metric("roomcast_connections", "").unwrap() == 2.0
    });
    assert_eq!(node.metric("roomcast_outbox_bytes", "").unwrap(), 0.0);
    drop((deaf, deaf_stream));
}

#[test]
fn a_slow_consumer_that_reads_on_learns_why_it_was_closed() {
    let settings = ["limits.outbox_bytes=256KiB", "limits.bytes_per_second=0"];
    let node = Node::start(BINARY, &settings.map(|setting| ["--set", setting]).concat()).unwrap();
    let mut slow = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    let mut publisher = WsClient::raw(node.port(), "/ws?room=a&echo=true").unwrap();
    let payload = vec![b'x'; 60_000];
    while node.metric("roomcast_slow_consumers_total", "").unwrap() == 0.0 {
        for _ in 0..20 {
            publisher.send_binary(&payload).unwrap();
            publisher.message().unwrap();
        }
    }
    assert_eq!(slow.close_code().unwrap(), Some(4408));
    assert_eq!(node.metric("roomcast_closes_total", "4408").unwrap(), 1.0);
}

#[test]
fn ten_thousand_connections_in_a_row_leave_nothing_behind() {
    let node = Node::start(BINARY, &[]).unwrap();
    let port = node.port();
    let mut witness = WsClient::raw(port, "/ws?room=witness").unwrap();
    let one_thousand = |round: usize| {
        for i in 0..1000 {
            match i % 4 {
                0 => drop(WsClient::raw(port, &format!("/ws?room=r{i}")).unwrap()),
                1 => drop(SseClient::open(port, &format!("/sse?room=r{round}")).unwrap()),
                2 => drop(WsClient::json(port, "/ws?room=r").unwrap()),
                _ => drop(request(port, "POST", "/rooms/r/messages", &[], b"x").unwrap()),
            }
        }
    };
    let settled = || {
        wait_until("everyone is gone", || node.metric("roomcast_connections", "").unwrap() == 1.0);
        wait_until("their rooms are, too", || node.metric("roomcast_rooms", "").unwrap() == 1.0);
        (node.descriptors().unwrap(), node.resident_kib().unwrap())
    };
    for round in 0..2 {
        one_thousand(round);
    }
    let (descriptors, resident) = settled();
    for round in 2..10 {
        one_thousand(round);
    }
    let (descriptors_after, resident_after) = settled();
    assert!(descriptors_after <= descriptors + 4, "{descriptors} descriptors became {descriptors_after}");
    assert!(resident_after <= resident + resident / 10 + 1024, "{resident} KiB became {resident_after}");
    request(port, "POST", "/rooms/witness/messages", &[], b"still here").unwrap();
    assert_eq!(witness.message().unwrap().text(), "still here");
}

/// WebSockets count for as long as they are open, also after they have left HTTP.
#[test]
fn connections_beyond_the_limit_are_refused() {
    let node = Node::start(BINARY, &["--set", "limits.connections=5"]).unwrap();
    let mut open: Vec<_> = (0..5).map(|_| WsClient::raw(node.port(), "/ws?room=a").unwrap()).collect();
    let refused = WsClient::connect(node.port(), "/ws?room=a", &[]).unwrap().unwrap_err();
    check(&refused, 503, "as many connections as it takes");
    assert_eq!(refused.header("retry-after"), Some("1"));
    open.pop();
    wait_until("a place is free", || WsClient::raw(node.port(), "/ws?room=a").is_ok());
}
