//! More connections than the node takes, in all ways in which it says no.

use std::net::TcpStream;

use roomcast_bench::Response;

use crate::crowd;
use crate::scene::Scene;
use crate::wire::{answer, say};

/// Connections that are open at once in a flood.
const FLOOD: usize = 300;
/// Places that the attackers find besides those of the good clients.
const PLACES: usize = 20;
/// What gets an answer of whoever takes the connection: 400, because it is no HTTP.
const HALF_ASKED: &[u8] = b"\r\r\r\r\r\r\r\r";

/// All connect before anyone is read from; gives the answers of those who were not let in.
fn flood(port: u16) -> Vec<Response> {
    let streams: Vec<TcpStream> = (0..FLOOD).map(|_| say(port, HALF_ASKED)).collect();
    // A refused connection may be reset before its answer is read: data of the client was on its way.
    streams.iter().filter_map(answer).filter(|response| response.status != 400).collect()
}

#[track_caller]
fn check(refusals: &[Response], status: u16, detail: &str) {
    assert!(!refusals.is_empty());
    for refusal in refusals {
        assert_eq!(refusal.status, status, "{}", refusal.text());
        assert_eq!(refusal.header("retry-after"), Some("1"));
        assert!(refusal.text().contains(detail), "{}", refusal.text());
    }
}

#[test]
fn connections_beyond_the_limit() {
    let limit = crowd::CONNECTIONS + PLACES;
    let scene = Scene::start(&[&format!("limits.connections={limit}")]);
    scene.withstands("more connections than the node takes", |port| {
        let occupied: Vec<TcpStream> = (0..PLACES).map(|_| say(port, b"")).collect();
        check(&flood(port), 503, "as many connections as it takes");
        drop(occupied);
    });
    let refused = scene.metric("roomcast_connections_refused_total", "full");
    assert!(refused >= (FLOOD - PLACES) as f64, "{refused}");
    scene.end();
}

#[test]
fn connections_beyond_the_limit_of_an_address() {
    let limit = crowd::CONNECTIONS + PLACES;
    let scene = Scene::start(&[&format!("limits.connections_per_address={limit}")]);
    scene.withstands("more connections than an address may have", |port| {
        let occupied: Vec<TcpStream> = (0..PLACES).map(|_| say(port, b"")).collect();
        check(&flood(port), 429, "as many connections as it may");
        drop(occupied);
    });
    assert!(scene.metric("roomcast_connections_refused_total", "address") >= (FLOOD - PLACES) as f64);
    scene.end();
}

#[test]
fn connections_faster_than_the_limit() {
    let burst = format!("limits.handshakes_burst={}", crowd::CONNECTIONS + PLACES);
    let scene = Scene::start(&["limits.handshakes_per_second=10", &burst]);
    scene.withstands("connections faster than the node takes them", |port| {
        check(&flood(port), 503, "no more connections in this second");
    });
    assert!(scene.metric("roomcast_connections_refused_total", "rate") >= (FLOOD / 2) as f64);
    scene.end();
}
