//! The admin listener, as an operator's program uses it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use roomcast_bench::{Response, SseClient, WsClient, request};
use xtask::{Node, Redis, project_root, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

fn get(node: &Node, target: &str) -> Response {
    request(node.admin_port(), "GET", target, &[], b"").unwrap()
}

fn post(node: &Node, target: &str, body: &str) -> Response {
    request(node.admin_port(), "POST", target, &[], body.as_bytes()).unwrap()
}

/// Any page that an operator has open can send this to the operator's own machine.
#[test]
fn pages_in_a_browser_on_this_machine_need_the_key() {
    let node = Node::start(BINARY, &["--set", "admin.key=secret"]).unwrap();
    let body = br#"{"rooms":["a"],"data":1}"#;
    let publish = |headers: &[(&str, &str)]| {
        request(node.admin_port(), "POST", "/api/publish", headers, body).unwrap().status
    };
    let page = ("Origin", "https://evil.example");
    assert_eq!(publish(&[page]), 401);
    assert_eq!(publish(&[page, ("Authorization", "Bearer secret")]), publish(&[]));
    assert_eq!(request(node.admin_port(), "POST", "/drain", &[page], b"").unwrap().status, 401);
    assert!(node.is_ready(), "nobody is sent away");
}

#[test]
fn everything_in_the_description_is_there_and_nothing_else() {
    let node = Node::start(BINARY, &[]).unwrap();
    let description =
        std::fs::read_to_string(project_root().join("crates/server/src/admin/openapi.json")).unwrap();
    assert_eq!(get(&node, "/api/openapi.json").text(), description);
    let paths: Vec<_> = description
        .lines()
        .filter_map(|line| line.strip_prefix("    \"/")?.strip_suffix("\": {"))
        .map(|path| format!("/{path}"))
        .collect();
    assert_eq!(paths.len(), 9);
    for path in paths.iter().filter(|path| *path != "/drain") {
        let target = path.replace("{room}", "a");
        let answers = [get(&node, &target).status, post(&node, &target, "").status];
        // One method is right (200, or 400 for want of a body), the other is refused as such.
        assert!(answers == [200, 405] || answers == [405, 400], "{path}: {answers:?}");
    }
    assert_eq!(get(&node, "/drain").status, 405);
    for nothing in ["/api/", "/api/nothing", "/api/rooms/a", "/nothing"] {
        assert_eq!(get(&node, nothing).status, 404, "{nothing}");
    }
}

#[test]
fn operators_see_and_do() {
    let redis = Redis::start().unwrap();
    let nodes: Vec<_> = ["one", "two"]
        .map(|name| {
            Node::start(BINARY, &["--redis", &redis.url(), "--set", &format!("node.name={name}")]).unwrap()
        })
        .into_iter()
        .collect();
    let listed = get(&nodes[0], "/api/nodes").text();
    assert!(
        listed.contains(r#""name":"one","self":true"#) && listed.contains(r#""name":"two","self":false"#),
        "{listed}"
    );

    let mut client = WsClient::raw(nodes[0].port(), "/ws?room=chat:1").unwrap();
    let _others: Vec<_> =
        (0..2).map(|_| SseClient::open(nodes[0].port(), "/sse?room=chat:1&room=chat:2").unwrap()).collect();
    let _elsewhere = SseClient::open(nodes[0].port(), "/sse?room=x").unwrap();
    let rooms = get(&nodes[0], "/api/rooms?prefix=chat:").text();
    let expected = r#""rooms":[{"members":3,"room":"chat:1"},{"members":2,"room":"chat:2"}],"total":2"#;
    assert!(rooms.contains(expected), "{rooms}");
    assert!(get(&nodes[1], "/api/rooms").text().contains("\"rooms\":[]"));

    let published =
        post(&nodes[1], "/api/publish", r#"{"rooms":["chat:1","x"],"event":"e","data":{"n": 1}}"#);
    assert_eq!(published.status, 202);
    assert!(published.text().contains(r#"{"id":null,"room":"chat:1"}"#), "{}", published.text());
    assert_eq!(client.message().unwrap().text(), r#"{"n": 1}"#);

    let connections = get(&nodes[0], "/api/connections?room=chat:1").text();
    assert_eq!(connections.matches("\"id\"").count(), 3, "{connections}");
    assert_eq!(get(&nodes[0], "/api/connections").text().matches("\"id\"").count(), 4);
    let raw = connections.split('{').find(|row| row.contains("websocket_raw")).unwrap();
    let id = raw.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let wish = format!(r#"{{"connection":"{id}"}}"#);
    assert_eq!(post(&nodes[1], "/api/disconnect", &wish).status, 404, "it is on the other node");
    assert_eq!(post(&nodes[0], "/api/disconnect", &wish).text(), r#"{"disconnected":1}"#);
    assert_eq!(client.close_code().unwrap(), Some(4410));
    wait_until("it is gone", || post(&nodes[0], "/api/disconnect", &wish).status == 404);

    for (target, body) in [
        ("/api/publish", r#"{"rooms":[],"data":1}"#),
        ("/api/publish", r#"{"rooms":["a b"],"data":1}"#),
        ("/api/publish", r#"{"rooms":["a"]}"#),
        ("/api/publish", r#"{"rooms":["a"],"data":1,"dta":2}"#),
        ("/api/disconnect", r#"{"connection":"x"}"#),
    ] {
        assert_eq!(post(&nodes[0], target, body).status, 400, "{body}");
    }
}

#[test]
fn drain_is_what_sigterm_is() {
    let mut node = Node::start(BINARY, &["--set", "drain.window=1s"]).unwrap();
    let mut client = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    assert_eq!(post(&node, "/drain", "").status, 202);
    assert_eq!(client.close_code().unwrap(), Some(1012));
    drop(client);
    assert_eq!(node.wait(Duration::from_secs(30)).unwrap().code(), Some(0));
}
