//! Ten thousand clients come back at once, and Redis hardly notices.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufReader, Read as _, Write as _};
use std::net::TcpStream;

use roomcast_bench::http::{connect, read_head};
use roomcast_bench::request;
use xtask::process::need_descriptors;
use xtask::{Node, Redis};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

const CLIENTS: usize = 10_000;
const ROOMS: usize = 5;
/// What was published while the clients were away.
const MISSED: usize = 20;

/// Reads of history and subscriptions that Redis has served so far.
fn served(redis: &Redis) -> (u64, u64) {
    let stats = redis.command(&[b"INFO", b"commandstats"]).unwrap();
    let calls = |command: &str| {
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    };
    (calls("fcall_ro"), calls("subscribe"))
}

fn publish(node: &Node, room: usize, text: &str) -> String {
    let target = format!("/rooms/r{room}/messages");
    let answer = request(node.port(), "POST", &target, &[], text.as_bytes()).unwrap().text();
    answer.strip_prefix("{\"id\":\"").unwrap().strip_suffix("\"}").unwrap().to_owned()
}

/// Asks for a stream from where the client had stopped, without waiting for the answer.
fn ask(node: &Node, room: usize, last_event_id: &str) -> TcpStream {
    let mut stream = connect(node.port()).unwrap();
    let head = format!("GET /sse?room=r{room} HTTP/1.1\r\nHost: x\r\nLast-Event-ID: {last_event_id}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Reads the stream until it holds what ends `text`.
fn read_until(stream: TcpStream, text: &str) -> (TcpStream, String) {
    let mut stream = BufReader::with_capacity(512, stream);
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    let mut all = String::new();
    let mut buffer = [0; 512];
    while !all.contains(text) {
        let len = stream.read(&mut buffer).unwrap();
        assert!(len > 0, "the stream goes on");
        all.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
    }
    (stream.into_inner(), all)
}

#[test]
fn ten_thousand_clients_resume_at_once() {
    need_descriptors(CLIENTS as u64 + 1000);
    let redis = Redis::start().unwrap();
    let arguments = ["--redis", &redis.url(), "--set", "namespaces.default.history=100"];
    // One node publishes; the other sees these rooms for the first time when the storm comes.
    let (first, second) =
        (Node::start(BINARY, &arguments).unwrap(), Node::start(BINARY, &arguments).unwrap());
    let seen: Vec<_> = (0..ROOMS).map(|room| publish(&first, room, "seen")).collect();
    for i in 0..MISSED {
        (0..ROOMS).for_each(|room| drop(publish(&first, room, &format!("missed {i}!"))));
    }

    let (reads, subscriptions) = served(&redis);
    let asked: Vec<_> = (0..CLIENTS).map(|i| ask(&second, i % ROOMS, &seen[i % ROOMS])).collect();
    let last = format!("data: missed {}!\n\n", MISSED - 1);
    let mut open = Vec::with_capacity(CLIENTS);
    for stream in asked {
        let (stream, text) = read_until(stream, &last);
        assert!(text.contains("\"resumed\":true,\"missed\":false"), "{text}");
        let messages: Vec<_> =
            text.split("data: ").filter_map(|part| part.strip_prefix("missed ")?.split('!').next()).collect();
        assert_eq!(messages, (0..MISSED).map(|i| i.to_string()).collect::<Vec<_>>());
        open.push(stream);
    }
    let (reads_after, subscriptions_after) = served(&redis);
    let (reads, subscriptions) = (reads_after - reads, subscriptions_after - subscriptions);
    println!(
        "{CLIENTS} clients in {ROOMS} rooms: {reads} reads of history, {subscriptions} SUBSCRIBE commands"
    );
    assert!(reads <= 4 * ROOMS as u64, "{reads} reads for {ROOMS} rooms");
    assert!(subscriptions <= ROOMS as u64, "{subscriptions} SUBSCRIBE commands for {ROOMS} rooms");
    assert_eq!(second.metric("roomcast_connections", "\"sse\"").unwrap(), CLIENTS as f64);
}
