//! SIGTERM: everyone is told, nobody is cut, nothing is lost on the way out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufReader, Write as _};
use std::time::{Duration, Instant};

use roomcast_bench::http::{connect, read_head, read_response};
use roomcast_bench::{SseClient, WsClient, request};
use rustix::process::Signal;
use xtask::process::http_status;
use xtask::{Node, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn clients_are_told_evenly_over_the_window_and_the_node_ends_well() {
    let mut node = Node::start(BINARY, &["--set", "drain.window=4s"]).unwrap();
    let port = node.port();
    let mut raw: Vec<_> = (0..20).map(|_| WsClient::raw(port, "/ws?room=a").unwrap()).collect();
    let mut json = WsClient::json(port, "/ws").unwrap();
    let mut stream = SseClient::open(port, "/sse?room=a").unwrap();
    assert_eq!(request(port, "POST", "/rooms/a/messages", &[], b"last words").unwrap().status, 202);

    let begin = Instant::now();
    node.signal(Signal::TERM).unwrap();
    wait_until("the node is not ready", || http_status(node.admin_port(), "/readyz") == Some(503));
    wait_until("no new connections", || connect(port).is_err());

    let mut leaving: Vec<Duration> = Vec::new();
    let readers: Vec<_> = raw
        .drain(..)
        .map(|mut client| {
            std::thread::spawn(move || {
                assert_eq!(client.message().unwrap().text(), "last words");
                let close = client.message().unwrap();
                assert_eq!(close.close_code(), Some(1012));
                assert!(close.text().contains("reconnect_ms="), "{}", close.text());
                begin.elapsed()
            })
        })
        .collect();
    let goodbye = json.message().unwrap().text();
    assert!(goodbye.starts_with(r#"{"type":"goodbye","reason":"drain","reconnect_ms":"#), "{goodbye}");
    assert_eq!(json.message().unwrap().close_code(), Some(1012));
    assert_eq!(stream.event().unwrap().data, "last words");
    assert_eq!(stream.event().unwrap().event, "goodbye");
    assert!(stream.retry_ms.unwrap() <= 1000);
    assert!(stream.event().is_err(), "the stream ends");

    leaving.extend(readers.into_iter().map(|reader| reader.join().unwrap()));
    leaving.sort();
    // Evenly, with jitter: not all in one half of the window, however slow the machine is to start.
    let (first, last) = (leaving[0], leaving[leaving.len() - 1]);
    assert!(last - first >= Duration::from_secs(2), "spread over {:?}", last - first);
    let status = node.wait(LIMIT).unwrap();
    assert_eq!(status.code(), Some(0), "{}", node.output());
    assert!(node.output().contains("everyone has left"));
}

#[test]
fn a_node_without_clients_ends_at_once() {
    let mut node = Node::start(BINARY, &["--set", "drain.window=1h"]).unwrap();
    node.signal(Signal::TERM).unwrap();
    assert_eq!(node.wait(LIMIT).unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut node = Node::start(BINARY, &["--set", "drain.window=1h"]).unwrap();
    let mut client = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    let mut other = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    node.signal(Signal::TERM).unwrap();
    wait_until("the node drains", || http_status(node.admin_port(), "/readyz") == Some(503));
    node.signal(Signal::TERM).unwrap();
    for client in [&mut client, &mut other] {
        let code = client.close_code().unwrap();
        assert!(matches!(code, Some(1001 | 1012)), "{code:?}");
    }
    drop((client, other));
    node.wait(LIMIT).unwrap();
}

#[test]
fn a_request_under_way_is_answered() {
    let mut node = Node::start(BINARY, &["--set", "drain.window=2s"]).unwrap();
    let mut stream = connect(node.port()).unwrap();
    let head =
        "POST /rooms/a/messages HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    assert_eq!(read_head(&mut stream).unwrap().status, 100, "the server waits for the body");
    node.signal(Signal::TERM).unwrap();
    wait_until("the node drains", || http_status(node.admin_port(), "/readyz") == Some(503));
    stream.get_mut().write_all(b"hi").unwrap();
    assert_eq!(read_response(&mut stream).unwrap().status, 202);
    assert_eq!(node.wait(LIMIT).unwrap().code(), Some(0));
}

#[test]
fn sighup_loads_limits_and_origins_anew_without_dropping_anyone() {
    let folder = xtask::process::scratch_folder("reload").unwrap();
    let file = folder.join("roomcast.toml");
    std::fs::write(&file, "[namespaces.default]\nmax_message_bytes = 10\n").unwrap();
    let node = Node::start(BINARY, &["--config", file.to_str().unwrap()]).unwrap();
    let mut client = SseClient::open(node.port(), "/sse?room=a").unwrap();
    let publish = |body: &[u8]| request(node.port(), "POST", "/rooms/a/messages", &[], body).unwrap();
    let from_page = || {
        let page = [("Origin", "https://a.example")];
        request(node.port(), "POST", "/rooms/a/messages", &page, b"x").unwrap()
    };
    assert_eq!((publish(b"more than ten bytes").status, from_page().status), (413, 403));

    std::fs::write(&file, "[namespaces.default]\nmax_message_bytes = \"wrong\"\n").unwrap();
    node.signal(Signal::HUP).unwrap();
    wait_until("the error is logged", || node.output().contains("the old one stays"));
    assert_eq!(publish(b"more than ten bytes").status, 413);

    let good = "[namespaces.default]\nmax_message_bytes = 100\n[cors]\norigins = [\"https://a.example\"]\n";
    std::fs::write(&file, good).unwrap();
    node.signal(Signal::HUP).unwrap();
    wait_until("the new limit holds", || publish(b"more than ten bytes").status == 202);
    assert_eq!(from_page().header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(client.event().unwrap().data, "more than ten bytes");
}
