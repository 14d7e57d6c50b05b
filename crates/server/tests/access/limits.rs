//! How many connections a user may have, and how fast a connection may send. Others do not notice.

use roomcast_bench::SseClient;
use serde_json::{Value, json};
use xtask::wait_until;

use crate::{First, Json, all, first, get, mint, node, raw, stream};

#[test]
fn a_user_has_so_many_connections_and_no_more() {
    let node = node(&["limits.connections_per_user=3"]);
    let (port, token) = (node.port(), all("alice"));
    let json = Json::open(port, &token);
    let raw_one = raw(port, "r", &token);
    let events = stream(port, "/sse?room=r", &token);
    // WebSocket, SSE, poll; also one that signs in later.
    assert_eq!(Json::connect(port, "/ws", Some(&token)).err(), Some(4429));
    assert_eq!(raw(port, "r", &token).close_code().unwrap(), Some(4429));
    let bearer = format!("Bearer {token}");
    let refused =
        SseClient::connect(port, "/sse?room=r", &[("Authorization", &bearer)]).unwrap().unwrap_err();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    let polled = get(port, "/poll?room=r&wait=0", Some(&token));
    assert_eq!((polled.status, polled.header("retry-after")), (429, Some("1")));
    assert!(polled.text().contains("urn:roomcast:rate_limited"), "{}", polled.text());
    let mut later = Json::nobody(port);
    assert_eq!(later.ask(json!({"type": "auth", "token": token}))["code"], "rate_limited");
    assert_eq!(later.ask(json!({"type": "subscribe", "room": "r"}))["code"], "unauthorized");
    // Single requests are no connections, and another user is another.
    assert_eq!(get(port, "/rooms/r/presence", Some(&token)).status, 404);
    let mut bob = Json::open(port, &all("bob"));
    // A fresh token of one who is in is no further connection.
    let mut json = json;
    assert_eq!(json.ask(json!({"type": "auth", "token": all("alice")}))["type"], "ok");
    drop(raw_one);
    wait_until("one has left", || get(port, "/poll?room=r&wait=0", Some(&token)).status == 200);
    assert_eq!(later.ask(json!({"type": "auth", "token": token}))["type"], "ok");
    drop(events);
    wait_until("another has", || Json::connect(port, "/ws", Some(&token)).is_ok());
    assert_eq!(bob.ask(json!({"type": "ping"}))["type"], "pong");
    assert!(node.metric("roomcast_user_connections_refused_total", "").unwrap() >= 5.0);
    // Who has no name is not counted.
    let nameless = mint(json!({"rooms": {"subscribe": ["*"]}}));
    let many: Vec<_> = (0..5).map(|_| Json::open(port, &nameless)).collect();
    assert_eq!(many.len(), 5);
}

/// Sends so many at once; gives how many were carried out, then whether the connection was closed.
fn flood(client: &mut Json, count: usize, command: &Value) -> (usize, Option<u16>) {
    let text = command.to_string();
    let sent = (0..count).take_while(|_| client.ws.send_text(&text).is_ok()).count();
    let (mut done, mut refused) = (0, 0);
    while done + refused < sent {
        match first(&mut client.ws) {
            First::Close(code) => return (done, Some(code)),
            First::Message(message) if message["type"] == "error" => {
                assert_eq!(message["code"], "rate_limited", "{message}");
                refused += 1;
            }
            First::Message(message) => done += usize::from(message["type"] == "ok"),
        }
    }
    (done, None)
}

#[test]
fn who_sends_too_fast_is_told_so_and_goes_on() {
    for setting in
        ["limits.messages_per_second=5", "limits.bytes_per_second=1000", "namespaces.default.rate=5"]
    {
        let node = node(&[setting]);
        let mut watcher = Json::open(node.port(), &all("bob"));
        watcher.subscribe("r");
        let mut fast = Json::open(node.port(), &all("alice"));
        let command = json!({"type": "publish", "room": "r", "data": "x".repeat(100)});
        let (done, closed) = flood(&mut fast, 20, &command);
        assert!((8..=19).contains(&done) && closed.is_none(), "{setting}: {done} of 20, {closed:?}");
        // Others may send meanwhile, and get what was let through and nothing else.
        let ok = watcher.ask(json!({"type": "publish", "room": "other", "data": 1}));
        assert_eq!(ok["type"], "ok", "{setting}");
        // After a while everything is as before.
        wait_until("it may send again", || fast.ask(command.clone())["type"] == "ok");
        let delivered = || node.metric("roomcast_messages_delivered_total", "websocket_json").unwrap();
        wait_until("what was let through is delivered", || delivered() == (done + 1) as f64);
        assert!(node.metric("roomcast_rate_limited_total", "").unwrap() > 0.0);
        wait_until("it may do other things", || fast.ask(json!({"type": "ping"}))["type"] == "pong");
    }
}

#[test]
fn one_that_never_listens_is_closed_and_others_do_not_notice() {
    for setting in ["limits.messages_per_second=50", "namespaces.default.rate=50"] {
        let node = node(&[setting]);
        let mut watcher = Json::open(node.port(), &all("bob"));
        watcher.subscribe("other:1");
        let port = node.port();
        // It takes ten seconds of it.
        let flooding = std::thread::spawn(move || {
            let mut deaf = Json::open(port, &all("mallory"));
            let command = json!({"type": "publish", "room": "r", "data": 1});
            loop {
                if let (_, Some(code)) = flood(&mut deaf, 20, &command) {
                    return code;
                }
            }
        });
        let mut raw_one = raw(port, "r", &all("carol"));
        // Raw mode cannot be told otherwise. Where it is closed, writing may fail.
        let sent = (0..200).take_while(|_| raw_one.send_text("x").is_ok()).count();
        assert!(sent > 100, "{setting}");
        assert_eq!(raw_one.close_code().unwrap(), Some(4429), "{setting}");
        assert_eq!(watcher.ask(json!({"type": "publish", "room": "other:1", "data": 1}))["type"], "ok");
        assert_eq!(flooding.join().unwrap(), 4429, "{setting}");
        assert_eq!(watcher.ask(json!({"type": "publish", "room": "other:1", "data": 1}))["type"], "ok");
        assert_eq!(node.metric("roomcast_closes_total", "code=\"4429\"").unwrap(), 2.0);
    }
}

#[test]
fn a_namespace_has_a_rate_of_its_own() {
    let node = node(&["namespaces.slow.rate=1"]);
    let mut client = Json::open(node.port(), &all("alice"));
    let publish = |room: &str| json!({"type": "publish", "room": room, "data": 1});
    let slow: Vec<_> = (0..10).map(|_| client.ask(publish("slow:1"))["type"] == "ok").collect();
    assert!(slow[0] && slow[1] && slow.contains(&false), "{slow:?}");
    for _ in 0..20 {
        assert_eq!(client.ask(publish("fast:1"))["type"], "ok");
    }
    // It is about publishing, and about nothing else there.
    for _ in 0..5 {
        assert_eq!(client.ask(json!({"type": "subscribe", "room": "slow:1"}))["type"], "subscribed");
    }
}
