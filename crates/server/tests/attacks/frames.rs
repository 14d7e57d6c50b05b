//! WebSocket frames that promise or pile up more than they are worth, and compressed ones.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use roomcast_bench::ws::frame;
use roomcast_bench::{WsClient, request};

use crate::scene::Scene;

/// Attackers at once.
const MANY: usize = 5;

fn clients(port: u16) -> Vec<WsClient> {
    (0..MANY).map(|_| WsClient::raw(port, "/ws?room=frames").unwrap()).collect()
}

/// All send this until they are closed, with this code.
fn until_closed(port: u16, first: &[u8], then: &[u8], expected: u16) {
    let mut clients = clients(port);
    for client in &mut clients {
        let _ = client.send_bytes(first);
        while client.send_bytes(then).is_ok() {}
        // The close frame is lost where the kernel answers late data with a reset.
        if let Ok(code) = client.close_code() {
            assert_eq!(code, Some(expected));
        }
    }
}

#[test]
fn fragments() {
    let scene = Scene::start(&["namespaces.default.max_message_bytes=8KiB"]);
    let begin = frame(0x01, b"begin");
    let closes = |code| scene.metric("roomcast_closes_total", code);
    scene.withstands("fragments of one byte without end", |port| {
        until_closed(port, &begin, &frame(0x00, b"x").repeat(1000), 1009);
    });
    let so_far = closes("1009");
    assert!(so_far >= MANY as f64);
    scene.withstands("empty fragments without end", |port| {
        until_closed(port, &begin, &frame(0x00, b"").repeat(1000), 1009);
    });
    assert!(closes("1009") >= so_far + MANY as f64);
    scene.withstands("large fragments without end", |port| {
        until_closed(port, &begin, &frame(0x00, &[b'x'; 10_000]), 1009);
    });
    scene.withstands("pings between empty fragments", |port| {
        let between = [frame(0x89, &[b'p'; 125]), frame(0x00, b"")].concat().repeat(10);
        until_closed(port, &begin, &between, 1009);
    });
    scene.end();
}

/// What one connection may send, with the default limits: at once, and each second.
const FRAMES_BURST: f64 = 25_600.0;
const FRAMES_PER_SECOND: f64 = 12_800.0;
/// What one read of 16 KiB may hold of the smallest frames.
const FRAMES_READ: f64 = 16.0 * 1024.0 / 6.0;

#[test]
fn pings() {
    let scene = Scene::start(&[]);
    let pings = frame(0x89, b"").repeat(1000);
    scene.withstands_once("pings as fast as possible", |port| {
        let mut client = WsClient::raw(port, "/ws?room=frames").unwrap();
        let begin = Instant::now();
        let mut sender = client.stream().try_clone().unwrap();
        let pings = pings.clone();
        let sending = std::thread::spawn(move || while sender.write_all(&pings).is_ok() {});
        let mut pongs = 0.0;
        while pongs < FRAMES_BURST + FRAMES_PER_SECOND / 2.0 {
            assert_eq!(client.frame().unwrap().first, 0x8a, "it is held back, not refused");
            pongs += 1.0;
        }
        let held_back_to = FRAMES_BURST + FRAMES_READ + FRAMES_PER_SECOND * begin.elapsed().as_secs_f64();
        assert!(pongs <= held_back_to, "{pongs} pings were read, {held_back_to} may be");
        client.stream().shutdown(std::net::Shutdown::Both).unwrap();
        sending.join().unwrap();
    });
    scene.end();
}

#[test]
fn promises() {
    let scene = Scene::start(&["server.heartbeat=1s"]);
    scene.withstands("frames that are too large are announced", |port| {
        for len in [65_537_u64, 1 << 31, 1 << 40, i64::MAX as u64] {
            let head = [&[0x82, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
            for mut client in clients(port) {
                client.send_bytes(&head).unwrap();
                assert_eq!(client.close_code().unwrap(), Some(1009), "{len}");
            }
        }
    });
    let before = scene.node.resident_kib().unwrap();
    scene.withstands_once("frames that are just small enough are announced, and nothing comes", |port| {
        let mut clients: Vec<_> = (0..40).flat_map(|_| clients(port)).collect();
        let head = [&[0x82, 0xff][..], &65_536_u64.to_be_bytes(), &[0; 4]].concat();
        clients.iter_mut().for_each(|client| client.send_bytes(&head).unwrap());
        let held = scene.node.resident_kib().unwrap().saturating_sub(before);
        // 200 of them claim 12.5 MiB.
        assert!(held < 6 * 1024, "{held} KiB are held for what was announced");
        clients.iter_mut().for_each(|client| assert_eq!(client.close_code().unwrap(), Some(1008)));
    });
    scene.end();
}

#[test]
fn compression() {
    let scene = Scene::start(&[]);
    scene.withstands("compressed frames without an agreement", |port| {
        for _ in 0..MANY {
            let offer = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")];
            let mut client = WsClient::connect(port, "/ws?room=frames", &offer).unwrap().unwrap();
            // RSV1: compressed (RFC 7692, section 6).
            client.send_frame(0xc1, b"\xaa\x00").unwrap();
            assert_eq!(client.close_code().unwrap(), Some(1002));
        }
    });
    let bomb = bomb();
    let witness = Mutex::new(WsClient::raw(scene.port(), "/ws?room=bombs").unwrap());
    scene.withstands("bodies that inflate to a thousandfold", |port| {
        for _ in 0..MANY {
            let headers = [("Content-Encoding", "gzip")];
            assert_eq!(request(port, "POST", "/rooms/bombs/messages", &headers, &bomb).unwrap().status, 202);
            let message = witness.lock().unwrap().message().unwrap();
            assert!(message.payload == bomb, "passed on as it was sent, not inflated");
        }
    });
    drop(witness);
    scene.end();
}

/// Zeros, compressed.
fn bomb() -> Vec<u8> {
    let len = 32 << 20;
    let mut gzip = Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut input, &vec![0; len]).unwrap());
    let output = gzip.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success() && output.stdout.len() * 500 < len && output.stdout.len() < 65_536);
    output.stdout
}

#[test]
fn foreign_pages() {
    let scene = Scene::start(&["cors.origins=https://app.example"]);
    let connect = |port, origin| WsClient::connect(port, "/ws?room=good", &[("Origin", origin)]).unwrap();
    scene.withstands("WebSockets of pages from elsewhere", |port| {
        for origin in
            ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null", ""]
        {
            for _ in 0..MANY {
                assert_eq!(connect(port, origin).unwrap_err().status, 403, "{origin}");
            }
        }
    });
    assert!(connect(scene.port(), "https://app.example").is_ok());
    scene.end();
}
