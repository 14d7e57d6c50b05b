//! The admin listener, as an operator's program uses it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::Duration;

use roomcast_bench::{Response, SseClient, WsClient, request};
use serde_json::Value;
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
    let own = format!("http://127.0.0.1:{}", node.admin_port());
    let neighbour = format!("http://127.0.0.1:{}", node.port());
    for origin in ["https://evil.example", "null", "http://localhost", &neighbour] {
        let page = ("Origin", origin);
        assert_eq!(publish(&[page]), 401, "{origin}");
        assert_eq!(publish(&[page, ("Authorization", "Bearer secret")]), 202, "{origin}");
        assert_eq!(
            request(node.admin_port(), "POST", "/drain", &[page], b"").unwrap().status,
            401,
            "{origin}"
        );
    }
    assert_eq!([publish(&[]), publish(&[("Origin", &own)])], [202, 202], "programs, and the own page");
    // A look comes without an origin; newer browsers say all the same where it comes from.
    let look = |site| {
        request(node.admin_port(), "GET", "/api/nodes", &[("Sec-Fetch-Site", site)], b"").unwrap().status
    };
    assert_eq!(["cross-site", "same-site", "same-origin", "none"].map(look), [401, 401, 200, 200]);
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
    assert_eq!(paths.len(), 10);
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

/// The names of what an object of the description must have.
fn required(description: &Value, schema: &str) -> BTreeSet<String> {
    let names = description["components"]["schemas"][schema]["required"].as_array().unwrap();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

fn json(node: &Node, target: &str) -> Value {
    serde_json::from_str(&get(node, target).text()).unwrap()
}

#[test]
fn a_node_tells_how_it_is_and_the_cluster_hears_who_leaves() {
    let mut redis = Redis::start().unwrap();
    let url = redis.url();
    let start = |name: &str| {
        let name = format!("node.name={name}");
        Node::start(BINARY, &["--redis", &url, "--set", &name, "--set", "drain.window=20s"]).unwrap()
    };
    let (one, two) = (start("one"), start("two"));
    let description = json(&one, "/api/openapi.json");
    let status = json(&one, "/api/status");
    assert_eq!(names(&status), required(&description, "Status"));
    assert_eq!(names(&status["broker"]), required(&description, "BrokerLink"));
    assert_eq!(
        (&status["name"], &status["ready"], &status["draining"]),
        (&"one".into(), &true.into(), &false.into())
    );
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["broker"]["redis"], url.trim_start_matches("redis://"));
    let link = |of: &str| json(&one, "/api/status")["broker"][of].clone();
    assert_eq!(link("healthy"), true);
    assert!(link("probe_round_trip_s").as_f64().unwrap() > 0.0);

    // What was counted is counted; the other node says it too.
    let mut client = WsClient::raw(two.port(), "/ws?room=a&echo=true").unwrap();
    let _others: Vec<_> = (0..9).map(|_| SseClient::open(two.port(), "/sse?room=a").unwrap()).collect();
    client.send_text("hello").unwrap();
    assert_eq!(client.message().unwrap().text(), "hello");
    let counted = json(&two, "/api/status");
    let counts = ["connections", "rooms", "room_members", "messages_received"]
        .map(|name| counted[name].as_u64().unwrap());
    assert_eq!(counts[..1], [10]);
    assert!(counts[1] >= 1 && counts[2] == 10 && counts[3] == 1, "{counted}");
    let row = |of: &Node| {
        // Neither while Redis does not answer, nor before the other is back.
        let nodes = json(of, "/api/nodes")["nodes"].as_array().cloned().unwrap_or_default();
        assert!(nodes.iter().all(|node| names(node) == required(&description, "Node")), "{nodes:?}");
        nodes.into_iter().find(|node| node["name"] == "two").unwrap_or_default()
    };
    wait_until("the other node has told", || row(&one)["connections"] == 10);
    assert_eq!((&row(&one)["version"], &row(&one)["draining"]), (&status["version"], &false.into()));

    // The link breaks and mends.
    redis.stop();
    wait_until("the link is down", || link("healthy") == false && link("up") == false);
    assert!(link("reason").as_str().unwrap().contains("down"));
    redis.restart().unwrap();
    wait_until("the link is up", || link("healthy") == true);
    assert_eq!((link("reason"), link("reconnects")), (Value::Null, 1.into()));

    wait_until("the other node is back, too", || two.is_ready());
    assert_eq!(post(&two, "/drain", "").status, 202);
    wait_until("the other node hears that it leaves", || row(&one)["draining"] == true);
    let leaving = json(&two, "/api/status");
    assert_eq!(
        (&leaving["ready"], &leaving["draining"], &leaving["broker"]["healthy"]),
        (&false.into(), &true.into(), &true.into())
    );
    assert!(leaving["drain_deadline_s"].as_f64().unwrap() > 1e9, "{leaving}");
}

#[test]
fn lists_are_as_long_as_is_asked_for() {
    let node = Node::start(BINARY, &[]).unwrap();
    let _clients: Vec<_> =
        (0..5).map(|n| SseClient::open(node.port(), &format!("/sse?room=all&room=r{n}")).unwrap()).collect();
    let rooms = json(&node, "/api/rooms?limit=2");
    assert_eq!((rooms["total"].as_u64(), rooms["rooms"].as_array().unwrap().len()), (Some(6), 2));
    assert_eq!(
        rooms["rooms"][0],
        serde_json::json!({ "room": "all", "members": 5 }),
        "those with most members"
    );
    assert_eq!(json(&node, "/api/connections?limit=3")["connections"].as_array().unwrap().len(), 3);
    assert_eq!(json(&node, "/api/connections?limit=1000")["connections"].as_array().unwrap().len(), 5);
    for list in ["rooms", "connections"] {
        for limit in ["0", "1001", "-1", "many"] {
            assert_eq!(get(&node, &format!("/api/{list}?limit={limit}")).status, 400, "{list} {limit}");
        }
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
