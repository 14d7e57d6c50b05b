//! How many messages a second one node takes from its clients.
//!
//! `cargo run --release -p roomcast-bench --example publish_rate -- PORT ROOM SECONDS`
//!
//! Raw WebSocket connections publish small messages, a batch at a time, and wait for the pong to a ping behind each
//! batch: a node reads on only when the broker has taken what came before. Each connection is in a room of its own, so
//! that hardly anything has to be delivered.

#![allow(clippy::unwrap_used, reason = "a tool that ends with the first thing that is wrong")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use roomcast_bench::WsClient;
use roomcast_bench::ws::frame;

const CONNECTIONS: usize = 64;
const BATCH: usize = 32;
const PAYLOAD: &[u8] = &[b'x'; 128];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, room, seconds] = &arguments[..] else {
        eprintln!("usage: publish_rate PORT ROOM SECONDS");
        std::process::exit(2);
    };
    let (port, seconds): (u16, u64) = (port.parse().unwrap(), seconds.parse().unwrap());
    let published = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let until = begin + Duration::from_secs(seconds);
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|i| {
            let (published, room) = (Arc::clone(&published), room.clone());
            std::thread::spawn(move || publish(port, &format!("{room}:{i}"), until, &published))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let rate = published.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    println!("{rate:.0} messages a second from {CONNECTIONS} connections");
}

fn publish(port: u16, room: &str, until: Instant, published: &AtomicU64) {
    let mut client = WsClient::raw(port, &format!("/ws?room={room}")).unwrap();
    let mut batch = frame(0x82, PAYLOAD).repeat(BATCH);
    batch.extend(frame(0x89, b"done"));
    while Instant::now() < until {
        client.send_bytes(&batch).unwrap();
        while client.frame().unwrap().first != 0x8a {}
        published.fetch_add(BATCH as u64, Ordering::Relaxed);
    }
}
