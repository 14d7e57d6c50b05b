//! Clients that come back, on any node and any transport, get exactly what they missed, or are told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use roomcast_bench::{Event, SseClient, WsClient, request};
use xtask::{Node, Redis};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

fn two_nodes(redis: &Redis, history: &str) -> Vec<Node> {
    let history = format!("namespaces.default.history={history}");
    (0..2).map(|_| Node::start(BINARY, &["--redis", &redis.url(), "--set", &history]).unwrap()).collect()
}

fn publish(node: &Node, room: &str, text: &str) -> String {
    let answer =
        request(node.port(), "POST", &format!("/rooms/{room}/messages"), &[], text.as_bytes()).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.text();
    id.strip_prefix("{\"id\":\"").unwrap().strip_suffix("\"}").unwrap().to_owned()
}

/// Opens a stream and gives its `connected` event.
fn open(node: &Node, target: &str, last_event_id: &str) -> (SseClient, Event) {
    let headers = [("Last-Event-ID", last_event_id)];
    let mut stream = SseClient::connect(node.port(), target, &headers).unwrap().unwrap();
    let connected = stream.event().unwrap();
    assert_eq!(connected.event, "connected");
    (stream, connected)
}

fn poll(node: &Node, target: &str) -> (Vec<String>, String, String) {
    let answer = request(node.port(), "GET", target, &[], b"").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    let data =
        text.split("\"data\":\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    let cursor = text
        .split("\"cursor\":")
        .nth(1)
        .unwrap()
        .split(",\"reset\"")
        .next()
        .unwrap()
        .trim_matches('"')
        .to_owned();
    (data, cursor, text.split("\"reset\":").nth(1).unwrap().trim_end_matches('}').to_owned())
}

#[test]
fn an_event_source_resumes_on_another_node() {
    let redis = Redis::start().unwrap();
    let nodes = two_nodes(&redis, "100");
    let (mut stream, connected) = open(&nodes[0], "/sse?room=a", "");
    assert!(
        connected.data.contains(r#""rooms":{"a":{"resumed":false,"missed":false}}"#),
        "{}",
        connected.data
    );
    let beginning = connected.id.clone();
    assert!(beginning.starts_with("0-"), "nothing was ever published: {beginning}");
    let first = publish(&nodes[1], "a", "one");
    let event = stream.event().unwrap();
    assert_eq!((&*event.data, &event.id), ("one", &first));
    drop(stream);
    for text in ["two", "three"] {
        publish(&nodes[0], "a", text);
    }
    let (mut stream, connected) = open(&nodes[1], "/sse?room=a", &first);
    assert!(connected.data.contains(r#"{"resumed":true,"missed":false}"#), "{}", connected.data);
    assert_eq!(connected.id, first, "cut off now, it would begin from the same place");
    publish(&nodes[0], "a", "four");
    for text in ["two", "three", "four"] {
        assert_eq!(stream.event().unwrap().data, text);
    }
    // One that was cut off before any message.
    let (mut stream, connected) = open(&nodes[1], "/sse?room=a", &beginning);
    assert!(connected.data.contains(r#"{"resumed":true,"missed":false}"#));
    for text in ["one", "two", "three", "four"] {
        assert_eq!(stream.event().unwrap().data, text);
    }
}

#[test]
fn one_cursor_speaks_of_many_rooms_and_every_transport_understands_it() {
    let redis = Redis::start().unwrap();
    let nodes = two_nodes(&redis, "100");
    let target = "/sse?room=a&room=b&room=c&format=json";
    let (mut stream, connected) = open(&nodes[0], target, "");
    publish(&nodes[0], "a", "a1");
    publish(&nodes[1], "b", "b1");
    stream.event().unwrap();
    let cursor = stream.event().unwrap().id;
    for (room, text) in [("c", "c1"), ("a", "a2"), ("b", "b2"), ("c", "c2")] {
        publish(&nodes[0], room, text);
    }
    let (mut stream, again) = open(&nodes[1], target, &cursor);
    assert_eq!(again.data.matches(r#"{"resumed":true,"missed":false}"#).count(), 3, "{}", again.data);
    let mut missed: Vec<_> = (0..4).map(|_| stream.event().unwrap().data).collect();
    missed.sort();
    for (text, data) in ["a2", "b2", "c1", "c2"].iter().zip(&missed) {
        assert!(data.contains(&format!("\"data\":\"{text}\"")), "{data}");
    }
    // The same cursor in a poll, and in JSON mode.
    let (mut data, next, reset) = poll(&nodes[0], &format!("/poll?room=a&room=b&room=c&after={cursor}"));
    data.sort();
    assert_eq!((data, &*reset), (["a2", "b2", "c1", "c2"].map(str::to_owned).to_vec(), "[]"));
    let mut json = WsClient::json(nodes[1].port(), "/ws").unwrap();
    json.send_text(&format!(r#"{{"type":"subscribe","room":"b","after":"{cursor}"}}"#)).unwrap();
    let subscribed = json.message().unwrap().text();
    assert!(subscribed.contains(r#""resumed":true,"missed":false"#), "{subscribed}");
    assert!(json.message().unwrap().text().contains(r#""data":"b2""#));
    // The poll's cursor in a stream.
    let id = publish(&nodes[0], "b", "b3");
    let (mut stream, _) = open(&nodes[0], target, &next);
    let event = stream.event().unwrap();
    assert!(event.data.contains(&format!(r#""data":"b3","id":"{id}""#)), "{}", event.data);
    // The very first cursor.
    let (data, ..) = poll(&nodes[0], &format!("/poll?room=a&room=b&room=c&after={}", connected.id));
    assert_eq!(data.len(), 7);
    // In the header it counts as well, and before the one in the URL.
    let (remembered, target) =
        ([("Last-Event-ID", &*connected.id)], format!("/poll?room=a&room=b&room=c&after={cursor}"));
    let answer = request(nodes[0].port(), "GET", &target, &remembered, b"").unwrap().text();
    assert_eq!(answer.matches("\"data\":").count(), 7, "{answer}");
}

#[test]
fn polls_wait_for_something_and_lose_nothing_between_nodes() {
    let redis = Redis::start().unwrap();
    let nodes = two_nodes(&redis, "100");
    let (data, mut cursor, _) = poll(&nodes[0], "/poll?room=a&wait=0");
    assert!(data.is_empty());
    for round in 0..6 {
        let node = &nodes[round % 2];
        let target = format!("/poll?room=a&wait=30&after={cursor}");
        let published: Vec<_> = (0..round % 3).map(|i| format!("{round} {i}")).collect();
        published.iter().for_each(|text| drop(publish(&nodes[0], "a", text)));
        if published.is_empty() {
            // Nothing is there yet: the poll waits.
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| poll(node, &target));
                xtask::wait_until("the poll waits", || {
                    node.metric("roomcast_connections", "poll").unwrap() == 1.0
                });
                publish(&nodes[1], "a", "late");
                let (data, next, _) = waiting.join().unwrap();
                assert_eq!(data, ["late"]);
                cursor = next;
            });
        } else {
            let (data, next, _) = poll(node, &target);
            assert_eq!(data, published);
            cursor = next;
        }
    }
}

#[test]
fn what_history_does_not_have_is_told() {
    let redis = Redis::start().unwrap();
    let nodes = two_nodes(&redis, "5");
    let first = publish(&nodes[0], "a", "0");
    for i in 1..=10 {
        publish(&nodes[0], "a", &i.to_string());
    }
    let last = publish(&nodes[0], "a", "11");
    let epoch = last.split('-').next().unwrap().to_owned();
    let of_another_room = publish(&nodes[0], "b", "x");
    let future = format!("{epoch}-999");
    let long = "9".repeat(10_000);
    for cursor in
        [&first, &of_another_room, &future, "1-5", "garbage", "0-0", "a=b;c", "000000000000.1-1", &long]
    {
        let (_stream, connected) = open(&nodes[1], "/sse?room=a", cursor);
        assert!(
            connected.data.contains(r#"{"resumed":false,"missed":true}"#),
            "{cursor}: {}",
            connected.data
        );
        assert_eq!(connected.id, last, "a fresh start");
        let mut json = WsClient::json(nodes[0].port(), "/ws").unwrap();
        json.send_text(&format!(r#"{{"type":"subscribe","room":"a","after":"{cursor}"}}"#)).unwrap();
        let subscribed = json.message().unwrap().text();
        let expected = format!(r#""id":"{last}","resumed":false,"missed":true"#);
        assert!(subscribed.contains(&expected), "{cursor}: {subscribed}");
        let target = format!("/poll?room=a&wait=30&after={}", if cursor.len() > 100 { "x" } else { cursor });
        let (data, next, reset) = poll(&nodes[0], &target);
        assert_eq!((data.len(), &*reset), (0, "[\"a\"]"), "{cursor}");
        assert!(next.ends_with(&last));
    }
    let (_stream, connected) = open(&nodes[1], "/sse?room=a", &format!("{epoch}-8"));
    assert!(connected.data.contains(r#"{"resumed":true,"missed":false}"#), "the oldest that is left is 7");
}

#[test]
fn history_is_read_page_by_page() {
    let node = Node::start(BINARY, &["--set", "namespaces.kept.history=50"]).unwrap();
    let ids: Vec<_> = (0..10).map(|i| publish(&node, "kept:a", &i.to_string())).collect();
    let get = |query: &str| {
        request(node.port(), "GET", &format!("/rooms/kept:a/history?{query}"), &[], b"").unwrap()
    };
    let newest = get("limit=3").text();
    assert!(
        newest.contains(&format!(r#""id":"{}""#, ids[9])) && newest.matches("\"data\"").count() == 3,
        "{newest}"
    );
    assert!(newest.contains("\"data\":7") && newest.contains("\"data\":9"));
    let page = get(&format!("limit=2&after={}", ids[3])).text();
    assert!(
        page.contains("\"data\":4") && page.contains("\"data\":5") && page.matches("\"data\"").count() == 2
    );
    for (query, status) in
        [("limit=0", 400), ("limit=501", 400), ("limit=x", 400), ("after=x", 400), ("limit=500", 200)]
    {
        assert_eq!(get(query).status, status, "{query}");
    }
    let none = request(node.port(), "GET", "/rooms/a/history", &[], b"").unwrap();
    assert_eq!(none.status, 404, "{}", none.text());

    let mut json = WsClient::json(node.port(), "/ws").unwrap();
    json.send_text(r#"{"type":"history","room":"kept:a","limit":2,"ref":1}"#).unwrap();
    let answer = json.message().unwrap().text();
    assert!(
        answer.starts_with(r#"{"type":"history","ref":1,"room":"kept:a""#) && answer.contains("\"data\":8"),
        "{answer}"
    );
    json.send_text(r#"{"type":"history","room":"other","ref":2}"#).unwrap();
    assert!(json.message().unwrap().text().contains(r#""code":"not_found""#));
    json.send_text(r#"{"type":"publish","room":"kept:a","data":1,"key":"k"}"#).unwrap();
    let first = json.message().unwrap().text();
    json.send_text(r#"{"type":"publish","room":"kept:a","data":2,"key":"k"}"#).unwrap();
    assert_eq!(json.message().unwrap().text(), first);
    let key = [("Idempotency-Key", "k")];
    let again = request(node.port(), "POST", "/rooms/kept:a/messages", &key, b"3").unwrap().text();
    assert!(first.contains(again.trim_start_matches('{').trim_end_matches('}')), "{first} {again}");
    let newest = get("limit=1").text();
    assert!(newest.contains("\"data\":1"), "{newest}");
}

/// Each room of a stream is caught up by itself, all of them through one outbox.
#[test]
fn much_that_was_missed_in_several_rooms_comes_whole() {
    const MISSED: usize = 150;
    let node = Node::start(BINARY, &["--set", "namespaces.default.history=200"]).unwrap();
    let target = "/sse?room=a&room=b&format=json";
    let (stream, connected) = open(&node, target, "");
    drop(stream);
    let filler = "x".repeat(20_000);
    for i in 0..MISSED {
        for room in ["a", "b"] {
            publish(&node, room, &format!("{i} {filler}"));
        }
    }
    let (mut stream, again) = open(&node, target, &connected.id);
    assert_eq!(again.data.matches(r#"{"resumed":true,"missed":false}"#).count(), 2, "{}", again.data);
    let (mut a, mut b) = (0, 0);
    while a + b < 2 * MISSED {
        let data = stream.event().unwrap().data;
        let next = if data.contains(r#""room":"a""#) { &mut a } else { &mut b };
        assert!(data.contains(&format!("\"data\":\"{next} xxx")), "{}", &data[..60]);
        *next += 1;
    }
}

/// A cursor from before the first message covers the first messages, and not those that have expired since.
#[test]
fn what_has_expired_was_missed() {
    let arguments = ["--set", "namespaces.default.history=10", "--set", "namespaces.default.history_ttl=1s"];
    let redis = Redis::start().unwrap();
    let url = redis.url();
    for broker in [&[][..], &["--redis", &url]] {
        let node = Node::start(BINARY, &[&arguments[..], broker].concat()).unwrap();
        let (stream, connected) = open(&node, "/sse?room=a", "");
        drop(stream);
        publish(&node, "a", "expires");
        let history = || request(node.port(), "GET", "/rooms/a/history", &[], b"").unwrap().text();
        xtask::wait_until("it has expired", || !history().contains("expires"));
        let verdict = || open(&node, "/sse?room=a", &connected.id).1.data;
        assert!(verdict().contains(r#"{"resumed":false,"missed":true}"#), "{}", verdict());
        publish(&node, "a", "of a new epoch");
        assert!(verdict().contains(r#"{"resumed":false,"missed":true}"#), "{}", verdict());
    }
}

#[test]
fn a_poll_waits_although_one_of_its_rooms_keeps_nothing() {
    let node = Node::start(BINARY, &["--set", "namespaces.kept.history=10"]).unwrap();
    let (_, cursor, _) = poll(&node, "/poll?room=kept:a&room=plain&wait=0");
    let target = format!("/poll?room=kept:a&room=plain&wait=30&after={cursor}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| poll(&node, &target));
        xtask::wait_until("the poll waits", || node.metric("roomcast_connections", "poll").unwrap() == 1.0);
        request(node.port(), "POST", "/rooms/plain/messages", &[], b"late").unwrap();
        let (data, _, reset) = waiting.join().unwrap();
        assert_eq!((data, &*reset), (vec!["late".to_owned()], "[]"));
    });
}

/// Switched on by SIGHUP, history holds for those who are connected already.
#[test]
fn history_can_be_switched_on() {
    let folder = xtask::process::scratch_folder("switch").unwrap();
    let file = folder.join("roomcast.toml");
    std::fs::write(&file, "").unwrap();
    let node = Node::start(BINARY, &["--config", file.to_str().unwrap()]).unwrap();
    let (mut stream, connected) = open(&node, "/sse?room=a", "");
    assert_eq!(connected.id, "");
    std::fs::write(&file, "[namespaces.default]\nhistory = 10\n").unwrap();
    node.signal(rustix::process::Signal::HUP).unwrap();
    let has_id =
        || !request(node.port(), "POST", "/rooms/a/messages", &[], b"x").unwrap().text().contains("null");
    xtask::wait_until("messages have ids", has_id);
    while stream.event().unwrap().id.is_empty() {}
    let new_ones_resume = || open(&node, "/sse?room=a", "").1.id.contains('-');
    xtask::wait_until("new members are told where the room stands", new_ones_resume);
}
