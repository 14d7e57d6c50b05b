//! HTTP/2 connections that make much work of few bytes: streams that are reset at once (CVE-2023-44487), headers that
//! never end (CVE-2024-27316) or inflate, and frames that want an answer.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::h2::{
    self, CONTINUATION, Client, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, PING, RST_STREAM,
    SETTINGS,
};
use crate::scene::Scene;

/// Attackers at once.
const MANY: usize = 10;
/// How long a flood lasts.
const FLOOD: Duration = Duration::from_millis(300);
/// Streams that one of them asks for.
const STREAMS: u32 = 5_000;

/// The numbers of a client's streams.
fn streams() -> impl Iterator<Item = u32> {
    (0..STREAMS).map(|n| 2 * n + 1)
}

#[test]
fn streams_that_are_reset() {
    let scene = Scene::start(&[]);
    for (name, target) in [("streams of SSE", "/sse?room=good"), ("polls", "/poll?room=reset")] {
        let request = h2::request("GET", target, &[]);
        let attack: Vec<u8> = streams()
            .flat_map(|stream| {
                let head = h2::frame(HEADERS, END_HEADERS | END_STREAM, stream, &request);
                [head, h2::frame(RST_STREAM, 0, stream, &h2::CANCEL.to_be_bytes())].concat()
            })
            .collect();
        scene.withstands(&format!("{name}, reset at once"), |port| {
            for _ in 0..MANY {
                let mut client = Client::start(port, &h2::preface());
                client.send(&attack);
                assert_eq!(client.goaway().unwrap_or(ENHANCE_YOUR_CALM), ENHANCE_YOUR_CALM);
            }
        });
    }
    // What makes the server reset streams is no better: a window that overflows.
    let request = h2::request("GET", "/sse?room=good", &[]);
    let attack: Vec<u8> = streams()
        .flat_map(|stream| {
            let head = h2::frame(HEADERS, END_HEADERS | END_STREAM, stream, &request);
            [head, h2::frame(h2::WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())].concat()
        })
        .collect();
    scene.withstands("streams that the server has to reset", |port| {
        for _ in 0..MANY {
            let mut client = Client::start(port, &h2::preface());
            client.send(&attack);
            assert_eq!(client.goaway().unwrap_or(ENHANCE_YOUR_CALM), ENHANCE_YOUR_CALM);
        }
    });
    scene.end();
}

#[test]
fn headers_without_end() {
    let scene = Scene::start(&[]);
    let block = h2::request("GET", "/", &[]);
    let first = [h2::preface(), h2::frame(HEADERS, END_STREAM, 1, &block)].concat();
    let field = h2::block(&[("x", &"y".repeat(100))]);
    for (name, payload) in [("fields", &field[..]), ("nothing", b"")] {
        let frames = h2::frame(CONTINUATION, 0, 1, payload).repeat(100);
        scene.withstands(&format!("CONTINUATION frames of {name} without end"), |port| {
            for _ in 0..MANY {
                let mut client = Client::start(port, &first);
                let sent = (0..10_000).take_while(|_| client.try_send(&frames)).count();
                assert!(sent < 10_000, "it is cut off");
                assert!(!client.answers());
            }
        });
    }
    // Remembered once, then named ten thousand times by one byte (RFC 7541, section 7.3).
    let mut bomb = h2::request("GET", "/", &[]);
    bomb.push(0x40);
    h2::text(&mut bomb, "x");
    h2::text(&mut bomb, &"y".repeat(3_900));
    bomb.extend([0xbe; 10_000]);
    let bomb = h2::frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb);
    scene.withstands("headers that inflate to 39 MB", |port| {
        for _ in 0..MANY {
            let mut client = Client::start(port, &[&h2::preface()[..], &bomb].concat());
            let refused = client.answer_on(1);
            assert!(refused.is_none() || refused == Some(431), "{refused:?}");
        }
    });
    scene.end();
}

#[test]
fn frames_that_want_an_answer() {
    let scene = Scene::start(&[]);
    let one_request = h2::frame(HEADERS, END_HEADERS | END_STREAM, 1, &h2::request("GET", "/", &[]));
    let opening = [h2::preface(), one_request].concat();
    for (name, frame) in [
        ("PING", h2::frame(PING, 0, 0, b"12345678")),
        ("SETTINGS", h2::frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])),
        ("PRIORITY", h2::frame(h2::PRIORITY, 0, 3, &[0, 0, 0, 1, 7])),
        ("empty DATA", h2::frame(h2::DATA, 0, 1, b"")),
    ] {
        let frames = frame.repeat(1000);
        scene.withstands(&format!("{name} frames as fast as possible"), |port| {
            let mut clients: Vec<_> = (0..MANY).map(|_| Client::start(port, &opening)).collect();
            // As many as the server takes: whoever does not read the answers is not read from, or is cut off.
            let begin = Instant::now();
            while begin.elapsed() < FLOOD {
                clients.iter_mut().for_each(|client| client.send_what_goes(&frames));
                sleep(Duration::from_millis(1));
            }
        });
    }
    scene.end();
}

/// Streams whose client gives them no window: each waits with what it has to say, up to its bounds.
#[test]
fn streams_without_a_window() {
    let scene = Scene::start(&["limits.outbox_bytes=256KiB", "server.heartbeat=1s"]);
    let no_window = h2::frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let request = h2::request("GET", "/sse?room=good", &[]);
    let heads: Vec<u8> = streams()
        .take(100)
        .flat_map(|stream| h2::frame(HEADERS, END_HEADERS | END_STREAM, stream, &request))
        .collect();
    let opening = [h2::preface(), no_window, heads].concat();
    scene.withstands("streams that are never given a window", |port| {
        let mut client = Client::start(port, &opening);
        for stream in streams().take(100) {
            assert!(client.has_head_of(stream), "it is answered, and waits");
        }
    });
    scene.end();
}
