//! History that is not as it should be, and clients that ask for what cannot be: a clear answer for the guilty one, the
//! truth for who comes back, and nothing for the others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufReader, Write as _};

use roomcast_bench::http::{connect, read_response};
use roomcast_bench::{Event, SseClient, WsClient, request};
use xtask::{Node, Redis, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

const MISSED: &str = r#"{"resumed":false,"missed":true}"#;
const RESUMED: &str = r#"{"resumed":true,"missed":false}"#;
const FRESH: &str = r#"{"resumed":false,"missed":false}"#;

/// Messages in one answer about history.
const PAGE_MESSAGES_MAX: usize = 500;

/// A node whose rooms keep their history in Redis.
fn start() -> (Redis, Node) {
    let redis = Redis::start().unwrap();
    let node =
        Node::start(BINARY, &["--redis", &redis.url(), "--set", "namespaces.default.history=1000"]).unwrap();
    (redis, node)
}

fn redis_command(redis: &Redis, parts: &[&str]) -> Result<String, String> {
    let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
    redis.command(&parts).map_err(|error| error.to_string())
}

fn try_publish(node: &Node, room: &str, text: &str, key: &str) -> Result<String, String> {
    let target = format!("/rooms/{room}/messages");
    let key = [("Idempotency-Key", key)];
    let headers = if key[0].1.is_empty() { &[] } else { &key[..] };
    let answer = request(node.port(), "POST", &target, headers, text.as_bytes()).unwrap();
    if answer.status != 202 {
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
        return Err(answer.text());
    }
    Ok(answer.text().trim_start_matches("{\"id\":\"").trim_end_matches("\"}").to_owned())
}

fn publish(node: &Node, room: &str, text: &str) -> String {
    try_publish(node, room, text, "").unwrap()
}

/// Opens a stream and gives its `connected`.
fn open(node: &Node, room: &str, last_event_id: &str) -> (SseClient, Event) {
    let remembered = [("Last-Event-ID", last_event_id)];
    let headers = if last_event_id.is_empty() { &[] } else { &remembered[..] };
    let mut stream = SseClient::connect(node.port(), &format!("/sse?room={room}"), headers).unwrap().unwrap();
    let connected = stream.event().unwrap();
    (stream, connected)
}

fn get(node: &Node, target: &str) -> (u16, String) {
    let answer = request(node.port(), "GET", target, &[], b"").unwrap();
    (answer.status, answer.text())
}

fn json(node: &Node, command: &str) -> String {
    let mut socket = WsClient::json(node.port(), "/ws").unwrap();
    socket.send_text(command).unwrap();
    socket.message().unwrap().text()
}

#[track_caller]
fn assert_has(text: &str, part: &str) {
    assert!(text.contains(part), "{part} is missing in {text}");
}

/// The reason is for the operator; clients are not told what the broker is.
#[track_caller]
fn assert_refused(node: &Node, refusal: &str, reason: &str) {
    assert_has(refusal, "the message broker refuses this; the gateway's log has the reason");
    assert!(!refusal.contains(reason), "{refusal}");
    wait_until("the reason is in the log", || node.output().contains(reason));
}

#[test]
fn an_id_of_an_old_epoch_is_told_of_the_new_one() {
    let (redis, node) = start();
    let old: Vec<_> = (0..3).map(|i| publish(&node, "a", &format!("old {i}"))).collect();
    redis_command(&redis, &["DEL", "{room:a}:s"]).unwrap();
    let first = publish(&node, "a", "new 0");
    assert!(first.ends_with("-0") && first != old[0], "{first} begins an epoch");
    let last = publish(&node, "a", "new 1");
    let (mut stream, _) = open(&node, "a", &old[0]);
    for cursor in &old {
        let (_stream, connected) = open(&node, "a", cursor);
        assert_has(&connected.data, MISSED);
        assert_eq!(connected.id, last, "a fresh start");
        let subscribed = json(&node, &format!(r#"{{"type":"subscribe","room":"a","after":"{cursor}"}}"#));
        assert_has(&subscribed, &format!(r#""id":"{last}","resumed":false,"missed":true"#));
        let (_, polled) = get(&node, &format!("/poll?room=a&wait=30&after={cursor}"));
        assert_has(&polled, r#""messages":[]"#);
        assert_has(&polled, r#""reset":["a"]"#);
    }
    let next = publish(&node, "a", "new 2");
    assert_eq!(stream.event().unwrap().id, next, "it goes on with what is new");
    assert_has(&open(&node, "a", &first).1.data, RESUMED);
}

/// On every way that a cursor takes; nobody waits for it, keeps it, or ends because of it.
#[test]
fn a_cursor_of_ten_megabytes_is_refused_and_not_kept() {
    let (_redis, node) = start();
    let (mut witness, _) = open(&node, "a", "");
    let huge = "9".repeat(10_000_000);
    let heads = [
        format!("GET /sse?room=a HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {huge}\r\n\r\n"),
        format!("GET /sse?room=a&after={huge} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /poll?room=a&after={huge} HTTP/1.1\r\nHost: x\r\n\r\n"),
        format!("GET /rooms/a/history?after={huge} HTTP/1.1\r\nHost: x\r\n\r\n"),
    ];
    let mut answered = 0;
    let mut attack = || {
        for head in &heads {
            let mut stream = connect(node.port()).unwrap();
            let _ = stream.write_all(head.as_bytes());
            // Who sends on after the answer may find the connection gone, and the answer with it.
            if let Ok(response) = read_response(&mut BufReader::new(stream)) {
                assert_eq!(response.status, 431);
                answered += 1;
            }
        }
        for command in ["subscribe", "history"] {
            let mut socket = WsClient::json(node.port(), "/ws").unwrap();
            let _ = socket.send_text(&format!(r#"{{"type":"{command}","room":"a","after":"{huge}"}}"#));
            if let Ok(code) = socket.close_code() {
                assert_eq!(code, Some(1009));
                answered += 1;
            }
        }
    };
    attack();
    let resident = node.resident_kib().unwrap();
    (0..5).for_each(|_| attack());
    let after = node.resident_kib().unwrap();
    assert!(after < resident + 5_000, "{resident} KiB became {after}: less than one of thirty cursors");
    assert!(answered > 0, "nobody was told why");
    // The longest that gets through is no cursor either.
    let (_stream, connected) = open(&node, "a", &"9".repeat(30_000));
    assert_has(&connected.data, MISSED);
    publish(&node, "a", "unharmed");
    assert_eq!(witness.event().unwrap().data, "unharmed");
    assert_eq!(node.metric("roomcast_connections", "\"sse\"").unwrap(), 2.0);
}

#[test]
fn limits_beyond_the_maximum_are_refused_or_held_to_it() {
    let (redis, node) = start();
    let id = publish(&node, "a", "1");
    let range = "limit may be from 1 to 500";
    for (limit, reason) in [
        ("0", range),
        ("501", range),
        ("18446744073709551615", range),
        ("18446744073709551616", "whole number"),
        ("-1", "whole number"),
        ("1e3", "whole number"),
        ("", "whole number"),
    ] {
        let (status, text) = get(&node, &format!("/rooms/a/history?limit={limit}"));
        assert_eq!(status, 400, "{limit}: {text}");
        assert_has(&text, reason);
    }
    for (limit, reason) in
        [("0", range), ("501", range), ("-1", "-1"), ("1e300", "1e+300"), ("\"5\"", "\\\"5\\\"")]
    {
        let answer = json(&node, &format!(r#"{{"type":"history","room":"a","limit":{limit}}}"#));
        assert_has(&answer, r#""code":"bad_request""#);
        assert_has(&answer, reason);
    }
    // A poll that wants to wait for ever has an answer as soon as there is something, like any other.
    let target = format!("/poll?room=a&wait=18446744073709551615&after={id}");
    publish(&node, "a", "2");
    assert_has(&get(&node, &target).1, r#""data":2"#);
    assert_eq!(get(&node, "/poll?room=a&wait=18446744073709551616").0, 400);
    // Backends get a page, however much they ask for; what is no whole number is an error.
    (2..=PAGE_MESSAGES_MAX).for_each(|_| drop(publish(&node, "a", "x")));
    let read =
        |limit: &str| redis_command(&redis, &["FCALL_RO", "roomcast_history", "1", "room:a", "", limit]);
    for (limit, messages) in [("501", PAGE_MESSAGES_MAX), ("1e400", PAGE_MESSAGES_MAX), ("0", 0), ("-5", 0)] {
        assert_eq!(read(limit).unwrap().matches("\r\nmessage\r\n").count(), messages, "{limit}");
    }
    for wrong in ["x", "nan", "1.5"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_key_of_the_wrong_type_concerns_its_room_only() {
    let (redis, node) = start();
    let (mut other, _) = open(&node, "other", "");
    let (mut member, _) = open(&node, "a", "");
    let id = publish(&node, "a", "before");
    assert_eq!(member.event().unwrap().data, "before");
    redis_command(&redis, &["SET", "{room:a}:s", "somebody's"]).unwrap();

    assert_refused(&node, &try_publish(&node, "a", "refused", "").unwrap_err(), "WRONGTYPE");
    assert_refused(&node, &json(&node, r#"{"type":"publish","room":"a","data":1}"#), "WRONGTYPE");
    let (status, text) = get(&node, "/rooms/a/history");
    assert_eq!(status, 503);
    assert_refused(&node, &text, "WRONGTYPE");
    // What was missed cannot be read: no verdict, and no endless wait for one.
    let refused = SseClient::connect(node.port(), "/sse?room=a&after=1-1", &[]).unwrap().unwrap_err();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(get(&node, "/poll?room=a&after=1-1").0, 503);
    assert_has(&json(&node, r#"{"type":"subscribe","room":"a","after":"1-1"}"#), r#""code":"unavailable""#);

    // Members stay and hear what needs no history; other rooms notice nothing; the key is still somebody's.
    redis.publish("room:a", b"plain").unwrap();
    assert_eq!(member.event().unwrap().data, "plain");
    publish(&node, "other", "as ever");
    assert_eq!(other.event().unwrap().data, "as ever");
    assert_has(&redis_command(&redis, &["GET", "{room:a}:s"]).unwrap(), "somebody's");

    redis_command(&redis, &["DEL", "{room:a}:s"]).unwrap();
    let next = publish(&node, "a", "after");
    let told: Vec<_> = (0..2).map(|_| member.event().unwrap()).collect();
    assert_eq!((&*told[0].event, &*told[1].data), ("reset", "after"), "its history is gone, and it is told");
    assert_eq!(told[1].id, next);
    assert_has(&open(&node, "a", &id).1.data, MISSED);
}

#[test]
fn a_history_that_was_trimmed_to_nothing_is_not_taken_for_a_new_one() {
    let (redis, node) = start();
    let (mut member, beginning) = open(&node, "a", "");
    let ids = [publish(&node, "a", "0"), publish(&node, "a", "1")];
    assert_eq!([member.event().unwrap().id, member.event().unwrap().id], ids);
    let second =
        Node::start(BINARY, &["--redis", &redis.url(), "--set", "namespaces.default.history=1000"]).unwrap();
    redis_command(&redis, &["XTRIM", "{room:a}:s", "MAXLEN", "0"]).unwrap();

    // On a node that knows nothing of the room but what Redis has, nobody can be told that nothing is missing.
    for cursor in [&beginning.id, &ids[0], &ids[1]] {
        let (_stream, connected) = open(&second, "a", cursor);
        assert_has(&connected.data, MISSED);
        let target = format!("/poll?room=a&wait=30&after={cursor}");
        assert_has(&get(&second, &target).1, r#""reset":["a"]"#);
    }
    let (_, page) = get(&second, "/rooms/a/history");
    assert_has(&page, r#""messages":[]"#);
    let (mut newcomer, connected) = open(&second, "a", "");
    assert_has(&connected.data, FRESH);

    // Everybody hears what comes next; whoever was there has missed nothing.
    let next = publish(&second, "a", "2");
    assert!(next > ids[1], "{next} comes after {}", ids[1]);
    let event = member.event().unwrap();
    assert_eq!((&*event.data, &event.id), ("2", &next));
    while newcomer.event().unwrap().id != next {}
    assert_has(&open(&second, "a", &ids[0]).1.data, MISSED);
    assert_has(&open(&second, "a", &next).1.data, RESUMED);
}

#[test]
fn a_full_redis_refuses_publishers_and_harms_nobody_else() {
    let (redis, node) = start();
    let (mut member, _) = open(&node, "a", "");
    let mut raw = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    let id = publish(&node, "a", "before");
    assert_eq!(
        (member.event().unwrap().id, raw.message().unwrap().text()),
        (id.clone(), "before".to_owned())
    );
    redis_command(&redis, &["CONFIG", "SET", "maxmemory", "1"]).unwrap();

    for room in ["a", "never-used"] {
        assert_refused(&node, &try_publish(&node, room, "refused", "key").unwrap_err(), "OOM");
    }
    let answer = json(&node, r#"{"type":"publish","room":"a","data":"refused","ref":1}"#);
    assert_has(&answer, r#""ref":1,"code":"unavailable""#);
    assert_refused(&node, &answer, "OOM");
    // One in raw mode is told nothing, as in any outage, and stays.
    raw.send_text("refused").unwrap();
    let backend =
        redis_command(&redis, &["FCALL", "roomcast_publish", "1", "room:a", "refused", "KEY", "key"]);
    assert_has(&backend.unwrap_err(), "OOM");

    // Reading goes on: newcomers, those who come back, history, and what backends publish without it.
    assert_has(&open(&node, "b", "").1.data, FRESH);
    assert_has(&open(&node, "a", &id).1.data, RESUMED);
    assert_has(&get(&node, "/rooms/a/history").1, "before");
    redis.publish("room:a", b"plain").unwrap();
    assert_eq!(
        (member.event().unwrap().data, raw.message().unwrap().text()),
        ("plain".into(), "plain".into())
    );

    // Nothing was done by half: no key is taken, no id used up, nothing comes late.
    redis_command(&redis, &["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    let next = try_publish(&node, "a", "after", "key").unwrap();
    let (epoch, offset) = id.split_once('-').unwrap();
    assert_eq!(next, format!("{epoch}-{}", offset.parse::<u64>().unwrap() + 1));
    let event = member.event().unwrap();
    assert_eq!((event.data, event.id), ("after".to_owned(), next));
    assert_eq!(raw.message().unwrap().text(), "after");
    let (_, page) = get(&node, "/rooms/a/history");
    assert!(!page.contains("refused"), "{page}");
    assert!(get(&node, "/rooms/never-used/history").1.contains(r#""messages":[]"#));
}
