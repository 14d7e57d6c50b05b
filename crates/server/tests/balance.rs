//! Connections spread: nodes know their shares, and ask those to leave that have been there for long.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use roomcast_bench::{SseClient, WsClient, request};
use rustix::process::Signal;
use xtask::process::http_get;
use xtask::{Node, Redis, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// Ages from one second to two, looked at every second.
const SHORT_LIVES: [&str; 6] = [
    "--set",
    "server.heartbeat=1s",
    "--set",
    "server.max_connection_age=2s",
    "--set",
    "server.max_connection_age_jitter=50",
];

fn number(node: &Node, name: &str) -> f64 {
    node.metric(name, "").unwrap()
}

#[test]
fn nodes_know_their_share_of_the_connections() {
    let redis = Redis::start().unwrap();
    let mut nodes: Vec<_> =
        (0..2).map(|_| Node::start(BINARY, &["--redis", &redis.url()]).unwrap()).collect();
    let _clients: Vec<_> = [0, 0, 0, 1]
        .map(|node: usize| SseClient::open(nodes[node].port(), "/sse?room=a").unwrap())
        .into_iter()
        .collect();
    for (node, share) in nodes.iter().zip([0.75, 0.25]) {
        wait_until("each knows of the other", || {
            number(node, "roomcast_cluster_nodes") == 2.0
                && number(node, "roomcast_cluster_connections") == 4.0
                && number(node, "roomcast_connections_share") == share
        });
    }
    let listed: serde_json::Value =
        serde_json::from_str(&http_get(nodes[0].admin_port(), "/api/nodes").unwrap()).unwrap();
    assert_eq!(listed["connections"], 4);
    let rows: BTreeSet<_> = listed["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["self"].to_string(), row["connections"].to_string(), row["share"].to_string()))
        .collect();
    let expected = [("true", "3", "0.75"), ("false", "1", "0.25")];
    assert_eq!(rows, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())).into());

    nodes[1].signal(Signal::TERM).unwrap();
    nodes[1].signal(Signal::TERM).unwrap();
    nodes[1].wait(Duration::from_secs(30)).unwrap();
    wait_until("one that has ended is not counted", || {
        number(&nodes[0], "roomcast_cluster_nodes") == 1.0
            && number(&nodes[0], "roomcast_connections_share") == 1.0
    });
}

#[test]
fn the_old_are_asked_to_leave_as_in_a_drain() {
    let node = Node::start(BINARY, &SHORT_LIVES).unwrap();
    let port = node.port();
    let mut raw = WsClient::raw(port, "/ws?room=a").unwrap();
    let mut json = WsClient::json(port, "/ws").unwrap();
    let mut stream = SseClient::open(port, "/sse?room=a").unwrap();

    let close = raw.message().unwrap();
    assert_eq!(close.close_code(), Some(1012));
    assert!(close.text().contains("reconnect_ms="), "{}", close.text());
    let goodbye = json.message().unwrap().text();
    assert!(goodbye.starts_with(r#"{"type":"goodbye","reason":"age","reconnect_ms":"#), "{goodbye}");
    assert_eq!(json.message().unwrap().close_code(), Some(1012));
    assert_eq!(stream.event().unwrap().event, "goodbye");
    assert!(stream.retry_ms.unwrap() <= 1000);
    assert!(stream.event().is_err(), "the stream ends");

    assert_eq!(node.metric("roomcast_goodbyes_total", "reason=\"age\"").unwrap(), 3.0);
    assert_eq!(node.metric("roomcast_goodbyes_total", "reason=\"drain\"").unwrap(), 0.0);
    assert!(node.is_ready(), "it takes them back, if it is still the best place");
}

#[test]
fn who_is_asked_to_leave_again_and_again_misses_nothing() {
    const MESSAGES: usize = 60;
    let arguments = [&SHORT_LIVES[..], &["--set", "namespaces.default.history=1000"]].concat();
    let node = Node::start(BINARY, &arguments).unwrap();
    let port = node.port();
    let mut stream = SseClient::open(port, "/sse?room=a").unwrap();
    let publisher = std::thread::spawn(move || {
        for i in 0..MESSAGES {
            let answer = request(port, "POST", "/rooms/a/messages", &[], i.to_string().as_bytes()).unwrap();
            assert_eq!(answer.status, 202);
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let (mut heard, mut lives, mut last) = (Vec::new(), 1, String::new());
    while heard.len() < MESSAGES {
        match stream.event() {
            Ok(event) => {
                last = event.id;
                match &*event.event {
                    "message" => heard.push(event.data),
                    other => assert!(matches!(other, "connected" | "goodbye"), "{other}"),
                }
            }
            Err(_) => {
                let headers = [("Last-Event-ID", &*last)];
                stream = SseClient::connect(port, "/sse?room=a", &headers).unwrap().unwrap();
                lives += 1;
            }
        }
    }
    publisher.join().unwrap();
    assert_eq!(heard, (0..MESSAGES).map(|i| i.to_string()).collect::<Vec<_>>());
    assert!(lives > 2, "{lives} lives");
}

/// Streams of one HTTP/2 connection stay on its node, however often they are opened anew.
#[tokio::test]
async fn an_http2_connection_is_told_as_well() {
    let node = Node::start(BINARY, &SHORT_LIVES).unwrap();
    let socket = tokio::net::TcpStream::connect(("127.0.0.1", node.port())).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    let ended = tokio::spawn(connection);
    let request = Request::get("http://localhost/sse?room=a").body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    drop(answer);
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, ended).await.expect("it ends by itself").unwrap().unwrap();
}
