//! Clients that never read, in rooms of each overflow policy: what they find when they read at last, and that those
//! who read get everything meanwhile.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;

use roomcast_bench::{SseClient, WsClient, request};
use serde_json::Value;
use xtask::{Node, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// What a client gets of one room, in order.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Message(u64),
    Dropped(u64),
}

fn node() -> Node {
    let arguments = [
        // One thread, so that what one client has got was queued for all.
        "server.cores=1",
        "limits.outbox_bytes=256KiB",
        // Who does not read answers no pings either.
        "server.heartbeat=1h",
        "limits.messages_per_second=0",
        "namespaces.oldest.overflow=drop_oldest",
        "namespaces.latest.overflow=latest",
        "namespaces.kept.overflow=drop_oldest",
        "namespaces.kept.history=20000",
    ];
    let arguments: Vec<_> = arguments.iter().flat_map(|argument| ["--set", argument]).collect();
    Node::start(BINARY, &arguments).unwrap()
}

/// Number `n`, long enough to fill what the kernel buffers soon.
fn publish(node: &Node, room: &str, n: u64) {
    let body = format!("{{\"n\":{n},\"filler\":\"{}\"}}", "x".repeat(30_000));
    let answer =
        request(node.port(), "POST", &format!("/rooms/{room}/messages"), &[], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// Publishes to a room until `enough`; `read` has the number of each as soon as it is published. Gives how many.
fn publish_until(node: &Node, room: &str, mut read: impl FnMut(u64), enough: impl Fn() -> bool) -> u64 {
    for n in 0..20_000 {
        publish(node, room, n);
        read(n);
        if n % 20 == 19 && enough() {
            return n + 1;
        }
    }
    panic!("nothing is dropped although nobody reads");
}

fn number(data: &str) -> u64 {
    let value: Value = serde_json::from_str(data).unwrap();
    let value = if value["data"].is_object() { &value["data"] } else { &value };
    value["n"].as_u64().unwrap()
}

fn dropped(data: &str, room: &str) -> Got {
    let value: Value = serde_json::from_str(data).unwrap();
    assert_eq!(value["room"], room, "{data}");
    Got::Dropped(value["count"].as_u64().unwrap())
}

fn next_of_stream(stream: &mut SseClient, room: &str) -> io::Result<Got> {
    let event = stream.event()?;
    Ok(match &*event.event {
        "message" => Got::Message(number(&event.data)),
        "dropped" => dropped(&event.data, room),
        other => panic!("{other}"),
    })
}

fn next_of_json(client: &mut WsClient, room: &str) -> Got {
    let text = client.message().unwrap().text();
    if text.contains("\"type\":\"message\"") {
        return Got::Message(number(&text));
    }
    assert!(text.starts_with(r#"{"type":"dropped","#), "{}", &text[..80]);
    dropped(&text, room)
}

/// Reads until everything has come or was told to be missing, each at its place, the last one being the newest
/// message; gives how many are missing.
#[track_caller]
fn read_all(published: u64, mut next: impl FnMut() -> Got) -> u64 {
    let (mut seen, mut missing) = (0, 0);
    loop {
        match next() {
            Got::Message(n) => {
                assert_eq!(n, seen, "of {published}, {missing} missing");
                seen += 1;
            }
            Got::Dropped(count) => {
                assert!(count > 0);
                (seen, missing) = (seen + count, missing + count);
                assert!(seen < published, "the newest is not dropped");
            }
        }
        if seen == published {
            return missing;
        }
    }
}

fn dropped_in_all(node: &Node) -> u64 {
    node.metric("roomcast_messages_dropped_total", "").unwrap() as u64
}

#[test]
fn who_reads_at_last_is_told_how_many_it_has_missed_and_gets_the_newest() {
    for (room, policy) in [("oldest:a", "drop_oldest"), ("latest:a", "latest")] {
        let node = node();
        let port = node.port();
        let mut raw = WsClient::raw(port, &format!("/ws?room={room}")).unwrap();
        let mut json = WsClient::json(port, &format!("/ws?room={room}")).unwrap();
        assert!(json.message().unwrap().text().contains("subscribed"));
        let mut stream = SseClient::open(port, &format!("/sse?room={room}")).unwrap();
        let mut json_stream = SseClient::open(port, &format!("/sse?room={room}&room=b&format=json")).unwrap();
        let mut good = WsClient::raw(port, &format!("/ws?room={room}")).unwrap();
        let mut good_stream = SseClient::open(port, &format!("/sse?room={room}")).unwrap();
        let read = |n| {
            assert_eq!(number(&good.message().unwrap().text()), n);
            assert_eq!(next_of_stream(&mut good_stream, room).unwrap(), Got::Message(n));
        };
        // So many that each of the four has missed some, however much the kernel buffers for it.
        let outbox = || node.metric("roomcast_outbox_bytes", "").unwrap();
        let published = publish_until(&node, room, read, || dropped_in_all(&node) > 2000);
        assert!(outbox() <= 4.0 * 257.0 * 1024.0, "{}", outbox());
        assert_eq!(node.metric("roomcast_slow_consumers_total", "").unwrap(), 0.0);

        let mut missing = Vec::new();
        missing.push(read_all(published, || next_of_json(&mut json, room)));
        missing.push(read_all(published, || next_of_stream(&mut stream, room).unwrap()));
        missing.push(read_all(published, || next_of_stream(&mut json_stream, room).unwrap()));
        // Raw mode cannot say it.
        let (mut got, mut last) = (1, number(&raw.message().unwrap().text()));
        assert_eq!(last, 0);
        while last < published - 1 {
            let n = number(&raw.message().unwrap().text());
            assert!(n > last, "{n} after {last}");
            (got, last) = (got + 1, n);
        }
        missing.push(published - got);
        assert!(missing.iter().all(|missing| *missing > 0), "{missing:?}");
        assert_eq!(missing.iter().sum::<u64>(), dropped_in_all(&node), "{missing:?}");
        let counted = node.metric("roomcast_messages_dropped_total", policy).unwrap() as u64;
        assert_eq!(counted, dropped_in_all(&node), "by policy");

        // They have caught up, and get everything again.
        publish(&node, room, published);
        assert_eq!(next_of_json(&mut json, room), Got::Message(published));
        assert_eq!(next_of_stream(&mut stream, room).unwrap(), Got::Message(published));
        assert_eq!(next_of_stream(&mut json_stream, room).unwrap(), Got::Message(published));
        assert_eq!(number(&raw.message().unwrap().text()), published);
        wait_until("nothing waits for anybody", || outbox() == 0.0);
    }
}

#[test]
fn a_room_that_drops_makes_place_for_one_that_does_not() {
    let node = node();
    let port = node.port();
    let mut slow = WsClient::json(port, "/ws?room=oldest:a&room=strict").unwrap();
    for _ in 0..2 {
        assert!(slow.message().unwrap().text().contains("subscribed"));
    }
    let mut good = WsClient::raw(port, "/ws?room=strict").unwrap();
    // Fewer than what fits, each time into a full outbox.
    for n in 0..5 {
        let before = dropped_in_all(&node);
        publish_until(&node, "oldest:a", |_| {}, || dropped_in_all(&node) > before);
        publish(&node, "strict", n);
        assert_eq!(number(&good.message().unwrap().text()), n);
        assert_eq!(node.metric("roomcast_slow_consumers_total", "").unwrap(), 0.0);
    }
    // What may not be dropped alone is too much in the end.
    let closed = || node.metric("roomcast_slow_consumers_total", "").unwrap() == 1.0;
    publish_until(&node, "strict", |n| assert_eq!(number(&good.message().unwrap().text()), n), closed);
    assert_eq!(slow.close_code().unwrap(), Some(4408));
    assert_eq!(node.metric("roomcast_closes_total", "4408").unwrap(), 1.0);
}

/// Many messages at once are no reason to drop any, as long as the client takes them.
#[test]
fn who_keeps_up_gets_everything_of_a_burst() {
    const BURSTS: u64 = 50;
    const BURST: u64 = 200;
    let node = node();
    let target = "/ws?room=latest:a";
    let mut publisher = WsClient::raw(node.port(), target).unwrap();
    let mut json = WsClient::json(node.port(), target).unwrap();
    assert!(json.message().unwrap().text().contains("subscribed"));
    let mut stream = SseClient::open(node.port(), "/sse?room=latest:a").unwrap();
    for burst in 0..BURSTS {
        let numbers = burst * BURST..(burst + 1) * BURST;
        let frames =
            numbers.clone().map(|n| roomcast_bench::ws::frame(0x81, format!("{{\"n\":{n}}}").as_bytes()));
        publisher.send_bytes(&frames.flatten().collect::<Vec<_>>()).unwrap();
        for n in numbers {
            assert_eq!(next_of_json(&mut json, "latest:a"), Got::Message(n));
            assert_eq!(next_of_stream(&mut stream, "latest:a").unwrap(), Got::Message(n));
        }
    }
    assert_eq!(dropped_in_all(&node), 0);
}

/// What was dropped is in history: whoever comes back with an older cursor gets it after all.
#[test]
fn what_was_dropped_can_be_read_from_history() {
    let node = node();
    let target = "/sse?room=kept:a";
    let mut slow = SseClient::open(node.port(), target).unwrap();
    let published = publish_until(&node, "kept:a", |_| {}, || dropped_in_all(&node) > 20);
    let (mut first_missing, mut id) = (0, None);
    let id = loop {
        let event = slow.event().unwrap();
        if event.event == "dropped" {
            // A gap has no id of its own: this is still the one before it.
            assert!(id.is_none_or(|id| id == event.id), "{event:?}");
            break event.id;
        }
        (first_missing, id) = (number(&event.data) + 1, Some(event.id));
    };
    let resumed = SseClient::connect(node.port(), target, &[("Last-Event-ID", &id)]).unwrap();
    let mut resumed = resumed.unwrap_or_else(|refused| panic!("{}", refused.text()));
    let connected = resumed.event().unwrap();
    assert!(connected.data.contains(r#"{"resumed":true,"missed":false}"#), "{}", connected.data);
    for n in first_missing..published {
        assert_eq!(next_of_stream(&mut resumed, "kept:a").unwrap(), Got::Message(n));
    }
}
