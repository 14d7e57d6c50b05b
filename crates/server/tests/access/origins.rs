//! Pages of other origins, and names that the service does not go by.

use roomcast_bench::{Response, SseClient, WsClient, request};

use crate::{all, node};

const JSON_MODE: (&str, &str) = ("Sec-WebSocket-Protocol", "roomcast.v1");

/// The answers of WebSocket, SSE, poll and publish to a page of this origin.
fn answers(port: u16, origin: &str, token: &str) -> [Response; 4] {
    let bearer = format!("Bearer {token}");
    let headers = [("Origin", origin), ("Authorization", &*bearer), JSON_MODE];
    let fine = |status| Response { status, headers: Vec::new(), body: Vec::new() };
    let ws = match WsClient::connect(port, "/ws", &headers).unwrap() {
        Ok(mut ws) => {
            assert_eq!(ws.message().unwrap().close_code(), None);
            fine(101)
        }
        Err(refusal) => refusal,
    };
    let events = match SseClient::connect(port, "/sse?room=r", &headers).unwrap() {
        Ok(stream) => stream.head().clone(),
        Err(head) => head,
    };
    let poll = request(port, "GET", "/poll?room=r&wait=0", &headers, b"").unwrap();
    let publish = request(port, "POST", "/rooms/r/messages", &headers, b"1").unwrap();
    [ws, events, poll, publish]
}

#[test]
fn pages_of_listed_origins_and_of_the_same_one_are_let_in() {
    let node = node(&["cors.origins=https://app.example,https://*.pages.example"]);
    let (port, token) = (node.port(), all("alice"));
    let own = format!("http://127.0.0.1:{port}");
    let cases = [
        (&*own, true),
        ("https://app.example", true),
        ("https://a.pages.example", true),
        ("https://a.b.pages.example", true),
        ("https://evil.example", false),
        ("http://app.example", false),
        ("https://app.example.evil", false),
        ("https://pages.example", false),
        ("http://127.0.0.1:1", false),
        ("null", false),
        ("", false),
    ];
    for (origin, allowed) in cases {
        let answers = answers(port, origin, &token);
        let statuses = answers.each_ref().map(|answer| answer.status);
        assert_eq!(statuses, if allowed { [101, 200, 200, 202] } else { [403; 4] }, "{origin}");
        for answer in &answers[1..] {
            let named = answer.header("access-control-allow-origin");
            assert_eq!(named, (allowed && origin != own).then_some(origin), "{origin}");
        }
        if !allowed {
            assert!(answers[3].text().contains("cors.origins"), "{}", answers[3].text());
        }
    }
    // What was refused was not done: only pages that were let in have published.
    assert_eq!(node.metric("roomcast_messages_published_total", "").unwrap(), 4.0);
}

#[test]
fn preflights_are_answered_without_a_token_and_for_listed_origins_only() {
    let node = node(&["cors.origins=https://app.example"]);
    for (origin, allowed) in [("https://app.example", true), ("https://evil.example", false)] {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization"),
        ];
        let answer = request(node.port(), "OPTIONS", "/rooms/r/messages", &headers, b"").unwrap();
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), allowed.then_some(origin));
        let named = answer.header("access-control-allow-headers");
        for name in ["Authorization", "Idempotency-Key", "traceparent"] {
            assert_eq!(named.is_some_and(|names| names.contains(name)), allowed, "{name}");
        }
    }
    // A page may read why it was refused, if it may be there at all.
    let headers = [("Origin", "https://app.example")];
    let answer = request(node.port(), "GET", "/poll?room=r", &headers, b"").unwrap();
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (401, Some("https://app.example"))
    );
}

#[test]
fn pages_do_not_get_to_the_admin_listener_through_a_browser_on_its_machine() {
    let node = node(&["admin.key=zebra"]);
    let ask = |headers: &str| {
        let body = r#"{"user":"alice"}"#;
        let head = format!(
            "POST /api/disconnect HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = roomcast_bench::http::connect(node.admin_port()).unwrap();
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        roomcast_bench::http::read_response(&mut std::io::BufReader::new(stream)).unwrap().status
    };
    let cases = [
        ("Host: 127.0.0.1:9090\r\n", 202),
        ("Host: localhost:9090\r\n", 202),
        ("Host: 127.0.0.1:9090\r\nOrigin: https://evil.example\r\n", 401),
        ("Host: 127.0.0.1:9090\r\nOrigin: null\r\n", 401),
        // A name of the page's own that leads here.
        ("Host: evil.example:9090\r\n", 401),
        ("Host: evil.example:9090\r\nAuthorization: Bearer zebra\r\n", 202),
        ("Host: 127.0.0.1\r\nOrigin: https://ops.example\r\nAuthorization: Bearer zebra\r\n", 202),
        ("Host: evil.example\r\nAuthorization: Bearer zebr\r\n", 401),
    ];
    for (headers, expected) in cases {
        assert_eq!(ask(headers), expected, "{headers}");
    }
}

#[test]
fn other_names_are_answered_with_421() {
    let node = node(&["server.hosts=rt.example,*.rt.example"]);
    let token = format!("Bearer {}", all("alice"));
    let cases = [
        ("rt.example", 200),
        ("RT.example:8080", 200),
        ("a.rt.example", 200),
        ("rt.example.evil", 421),
        ("127.0.0.1", 421),
        ("localhost", 421),
    ];
    for (host, expected) in cases {
        let head = format!(
            "GET /poll?room=r&wait=0 HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
        );
        let mut stream = roomcast_bench::http::connect(node.port()).unwrap();
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let answer = roomcast_bench::http::read_response(&mut std::io::BufReader::new(stream)).unwrap();
        assert_eq!(answer.status, expected, "{host}: {}", answer.text());
    }
    // The clients of this test say 127.0.0.1.
    let headers = [("Authorization", &*token), JSON_MODE];
    assert_eq!(WsClient::connect(node.port(), "/ws", &headers).unwrap().unwrap_err().status, 421);
    assert_eq!(SseClient::connect(node.port(), "/sse?room=r", &headers).unwrap().unwrap_err().status, 421);
    assert_eq!(request(node.port(), "POST", "/rooms/r/messages", &headers, b"1").unwrap().status, 421);
}
