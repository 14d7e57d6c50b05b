//! One client that publishes as fast as it can, one that never reads, and one that wants all rooms.

use std::io::{BufReader, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use roomcast_bench::http::{connect, read_response};
use roomcast_bench::{SseClient, WsClient, request};

use crate::scene::Scene;

/// How long a flood lasts.
const FLOOD: Duration = Duration::from_millis(400);

#[test]
fn as_fast_as_it_can() {
    let scene = Scene::start(&[]);
    scene.withstands("raw messages as fast as possible", |port| {
        let mut client = WsClient::raw(port, "/ws?room=flood").unwrap();
        let message = roomcast_bench::ws::frame(0x81, b"flood");
        // Until the server takes no more, which closes.
        while client.send_bytes(&message).is_ok() {}
        if let Ok(code) = client.close_code() {
            assert_eq!(code, Some(4429));
        }
    });
    assert!(scene.metric("roomcast_closes_total", "4429") >= 1.0);

    let (sent, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    scene.withstands("commands as fast as possible", |port| {
        let mut client = WsClient::json(port, "/ws").unwrap();
        let begin = Instant::now();
        let command = r#"{"type":"publish","room":"flood","data":1}"#;
        while begin.elapsed() < FLOOD {
            // Not one after the other, but as many as fit on the way.
            for _ in 0..100 {
                client.send_text(command).unwrap();
            }
            for _ in 0..100 {
                let answer = client.message().unwrap().text();
                sent.fetch_add(1, Relaxed);
                if answer.contains("\"rate_limited\"") {
                    refused.fetch_add(1, Relaxed);
                } else {
                    assert!(answer.contains("\"ok\""), "{answer}");
                }
            }
        }
    });
    let (sent, refused) = (sent.into_inner(), refused.into_inner());
    assert!(refused > 0, "{refused} of {sent} were refused");

    let posted = AtomicUsize::new(0);
    scene.withstands("POST as fast as possible", |port| {
        let mut stream = connect(port).unwrap();
        let mut answers = BufReader::new(stream.try_clone().unwrap());
        let begin = Instant::now();
        let post =
            "POST /rooms/flood/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nflood".repeat(50);
        while begin.elapsed() < FLOOD {
            stream.write_all(post.as_bytes()).unwrap();
            for _ in 0..50 {
                assert_eq!(read_response(&mut answers).unwrap().status, 202);
                posted.fetch_add(1, Relaxed);
            }
        }
    });
    println!("{refused} of {sent} commands refused, {} posted", posted.into_inner());
    scene.end();
}

#[test]
fn one_that_never_reads() {
    let scene = Scene::start(&["limits.outbox_bytes=256KiB", "server.heartbeat=1s"]);
    scene.withstands_once("a WebSocket and a stream that are never read", |port| {
        let mut deaf = WsClient::raw(port, "/ws?room=bulk").unwrap();
        let stream = SseClient::open(port, "/sse?room=bulk").unwrap();
        let slow = || scene.metric("roomcast_slow_consumers_total", "");
        let before = slow();
        while slow() < before + 2.0 {
            for _ in 0..20 {
                let response = request(port, "POST", "/rooms/bulk/messages", &[], &[b'x'; 60_000]).unwrap();
                assert_eq!(response.status, 202);
            }
        }
        // One that reads at last is told why.
        assert_eq!(deaf.close_code().unwrap(), Some(4408));
        drop(stream);
    });
    assert!(scene.metric("roomcast_closes_total", "4408") >= 1.0);
    scene.end();
}

#[test]
fn ten_thousand_rooms() {
    // Without a limit on the rate, so that it is the rooms that are limited.
    let scene = Scene::start(&["limits.messages_per_second=0"]);
    let all = 10_000;
    scene.withstands_once("10,000 rooms by subscribing", |port| {
        let mut client = WsClient::json(port, "/ws").unwrap();
        let mut subscribed = 0;
        for batch in 0..all / 100 {
            for i in 0..100 {
                client.send_text(&format!(r#"{{"type":"subscribe","room":"r{batch}-{i}"}}"#)).unwrap();
            }
            for _ in 0..100 {
                let answer = client.message().unwrap().text();
                let refused = answer.contains("\"room_limit\"");
                assert!(refused || answer.contains("\"subscribed\""), "{answer}");
                subscribed += usize::from(!refused);
            }
        }
        assert_eq!(subscribed, 128);
    });
    let rooms = |from, to| (from..to).map(|i| format!("&room={i}")).collect::<String>();
    let (in_8_kib, too_many) = (rooms(100, 900), rooms(0, all));
    scene.withstands("10,000 rooms in URLs", |port| {
        for target in ["/sse?", "/poll?wait=0", "/ws?"] {
            let get = |rooms: &str| {
                let headers = [
                    ("Connection", "Upgrade"),
                    ("Upgrade", "websocket"),
                    ("Sec-WebSocket-Version", "13"),
                    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                    ("Sec-WebSocket-Protocol", "roomcast.v1"),
                ];
                let headers = if target == "/ws?" { &headers[..] } else { &[] };
                request(port, "GET", &format!("{target}{rooms}"), headers, b"").unwrap()
            };
            for _ in 0..5 {
                let refusal = get(&in_8_kib);
                assert_eq!(refusal.status, 400, "{target}: {}", refusal.text());
                assert!(refusal.text().contains("128 rooms at most"), "{}", refusal.text());
            }
            let refusal = get(&too_many);
            assert!(matches!(refusal.status, 414 | 431), "{target}: {}", refusal.status);
        }
    });
    scene.end();
}
