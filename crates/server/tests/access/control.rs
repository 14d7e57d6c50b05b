//! Wishes about a user reach its connections on all nodes, and nobody else's.

use std::time::{Duration, Instant};

use roomcast_bench::{SseClient, WsClient};
use serde_json::json;
use xtask::{Node, Redis, wait_until};

use crate::{Json, all, body, get, http, nodes, raw, stream};

const CHANNEL: &str = "roomcast:control";

/// One of each kind on a node.
struct Clients {
    json: Json,
    raw: WsClient,
    events: SseClient,
}

impl Clients {
    fn new(node: &Node, user: &str) -> Self {
        let token = all(user);
        let mut json = Json::open(node.port(), &token);
        json.subscribe("r");
        let raw = raw(node.port(), "r", &token);
        let events = stream(node.port(), "/sse?room=r&room=other&format=json", &token);
        Self { json, raw, events }
    }

    /// Whether all of them are given what is published to the room.
    fn hear(&mut self, data: &str) {
        let message = self.json.until(|message| message["type"] == "message");
        assert_eq!(message["data"], data);
        assert_eq!(self.raw.message().unwrap().text(), format!("\"{data}\""));
        assert!(self.events.event().unwrap().data.contains(&format!("\"data\":\"{data}\"")));
    }

    fn are_told_to_go(&mut self) {
        assert_eq!(self.json.close_code(), 4410);
        assert_eq!(self.raw.close_code().unwrap(), Some(4410));
        assert!(self.events.event().is_err(), "the stream ends");
    }
}

fn publish(node: &Node, room: &str, data: &str) {
    let wish = json!({"rooms": [room], "data": data}).to_string();
    assert_eq!(http(node.admin_port(), "POST", "/api/publish", None, wish.as_bytes()).status, 202);
}

fn connections(node: &Node, user: &str) -> usize {
    let list = get(node.admin_port(), &format!("/api/connections?user={user}"), None);
    body(&list)["connections"].as_array().unwrap().len()
}

#[test]
fn disconnect_ends_all_connections_of_one_user() {
    let redis = Redis::start().unwrap();
    let nodes = nodes(&redis, 3, &[]);
    let clients = |user: &str| nodes.iter().map(|node| Clients::new(node, user)).collect::<Vec<_>>();
    let (mut alice, mut bob) = (clients("alice"), clients("bob"));
    let mut nobody = Json::nobody(nodes[0].port());
    for node in &nodes {
        assert_eq!(
            (connections(node, "alice"), connections(node, "bob"), connections(node, "carol")),
            (3, 3, 0)
        );
    }
    assert_eq!(redis.publish(CHANNEL, br#"{"disconnect":{"user":"alice"}}"#).unwrap(), 3);
    alice.iter_mut().for_each(Clients::are_told_to_go);
    for node in &nodes {
        wait_until("they are gone", || connections(node, "alice") == 0);
        assert_eq!(connections(node, "bob"), 3);
    }
    publish(&nodes[0], "r", "on");
    bob.iter_mut().for_each(|clients| clients.hear("on"));
    assert_eq!(nobody.ask(json!({"type": "ping"}))["type"], "pong");

    // She may come back: the token is as good as before.
    let mut alice = clients("alice");
    publish(&nodes[1], "r", "again");
    alice.iter_mut().chain(&mut bob).for_each(|clients| clients.hear("again"));

    // The same by the API of one node.
    let wish = json!({"user": "bob"}).to_string();
    assert_eq!(http(nodes[2].admin_port(), "POST", "/api/disconnect", None, wish.as_bytes()).status, 202);
    bob.iter_mut().for_each(Clients::are_told_to_go);
    publish(&nodes[1], "r", "third");
    alice.iter_mut().for_each(|clients| clients.hear("third"));
}

#[test]
fn unsubscribe_takes_one_user_out_of_one_room() {
    let redis = Redis::start().unwrap();
    let nodes = nodes(&redis, 3, &["namespaces.default.history=100"]);
    let clients = |user: &str| nodes.iter().map(|node| Clients::new(node, user)).collect::<Vec<_>>();
    let (mut alice, mut bob) = (clients("alice"), clients("bob"));
    alice.iter_mut().for_each(|alice| alice.json.subscribe("other"));
    redis.publish(CHANNEL, br#"{"unsubscribe":{"user":"alice","room":"r"}}"#).unwrap();
    for Clients { json, raw, events } in &mut alice {
        let told = json.until(|message| message["type"] == "unsubscribed");
        assert_eq!(told["room"], "r");
        let event = events.event().unwrap();
        assert_eq!((&*event.event, &*event.data), ("unsubscribed", r#"{"room":"r"}"#));
        assert_eq!(raw.close_code().unwrap(), Some(4403));
    }
    let left = get(nodes[0].admin_port(), "/api/connections?room=r", None);
    assert!(!left.text().contains("alice"), "{}", left.text());
    publish(&nodes[0], "r", "private");
    publish(&nodes[1], "other", "public");
    bob.iter_mut().for_each(|bob| bob.hear("private"));
    for Clients { json, events, .. } in &mut alice {
        // Nothing of the room in between.
        assert_eq!(json.next()["data"], "public");
        assert!(events.event().unwrap().data.contains("public"));
        let answer = json.ask(json!({"type": "unsubscribe", "room": "r"}));
        assert_eq!(answer["type"], "unsubscribed");
    }
    for (alice, node) in alice.iter_mut().zip(&nodes) {
        alice.json.subscribe("r");
        let mut raw = raw(node.port(), "r", &all("alice"));
        publish(&nodes[2], "r", "back");
        assert_eq!(alice.json.until(|message| message["type"] == "message")["data"], "back");
        assert_eq!(raw.message().unwrap().text(), "\"back\"");
        alice.json.ask(json!({"type": "unsubscribe", "room": "r"}));
    }
}

#[test]
fn garbage_on_the_channel_is_told_in_the_log_and_harms_nobody() {
    let redis = Redis::start().unwrap();
    let nodes = nodes(&redis, 1, &[]);
    let mut alice = Clients::new(&nodes[0], "alice");
    let deep = "[".repeat(100_000);
    let long = json!({"disconnect": {"user": "a".repeat(1 << 20)}}).to_string();
    let garbage: [&[u8]; 9] = [
        b"",
        b"disconnect alice",
        b"{}",
        b"\xff\xfe\0",
        br#"{"disconnect":{"user":["alice"]}}"#,
        br#"{"unsubscribe":{"user":"alice"}}"#,
        br#"{"unsubscribe":{"user":"alice","room":"a b"}}"#,
        deep.as_bytes(),
        long.as_bytes(),
    ];
    for bytes in garbage {
        assert_eq!(redis.publish(CHANNEL, bytes).unwrap(), 1);
    }
    let wish = br#"{"unsubscribe":{"user":"nobody","room":"r"}}"#;
    assert_eq!(redis.publish(CHANNEL, wish).unwrap(), 1);
    publish(&nodes[0], "r", "on");
    alice.hear("on");
    let told = nodes[0].output().matches("roomcast:control").count();
    assert_eq!(told, garbage.len(), "{}", nodes[0].output());
    assert!(nodes[0].output().len() < 100_000, "what was sent is not repeated at length");
    for wrong in ["", "{}", r#"{"user":1}"#, r#"{"users":"alice"}"#] {
        let answer = http(nodes[0].admin_port(), "POST", "/api/disconnect", None, wrong.as_bytes());
        assert_eq!(answer.status, 400, "{wrong}");
    }
    assert_eq!(nodes[0].metric("roomcast_broker_reconnects_total", "").unwrap(), 0.0);
}

/// A message that passes for the gateway's own word.
#[test]
fn clients_cannot_say_that_others_were_taken_out() {
    let node = crate::node(&[]);
    let mut mallory = Json::open(node.port(), &all("mallory"));
    let publish = json!({"type": "publish", "room": "r", "event": "unsubscribed", "data": {"room": "r"}});
    assert_eq!(mallory.ask(publish)["code"], "bad_request");
    let target = "/rooms/r/messages?event=unsubscribed";
    assert_eq!(http(node.port(), "POST", target, Some(&all("mallory")), b"{}").status, 400);
}

#[test]
fn an_embedded_broker_carries_the_same_wishes_out() {
    let node = crate::node(&[]);
    let (mut alice, mut bob) = (Clients::new(&node, "alice"), Clients::new(&node, "bob"));
    let wish = json!({"user": "alice"}).to_string();
    assert_eq!(http(node.admin_port(), "POST", "/api/disconnect", None, wish.as_bytes()).status, 202);
    alice.are_told_to_go();
    // Polls too: they are answered at once, and the next one asks anew.
    let port = node.port();
    let poll = std::thread::spawn(move || get(port, "/poll?room=quiet&wait=50", Some(&all("carol"))));
    wait_until("the poll waits", || {
        get(node.admin_port(), "/api/rooms?prefix=quiet", None).text().contains("quiet")
    });
    let (begin, wish) = (Instant::now(), json!({"user": "carol"}).to_string());
    assert_eq!(http(node.admin_port(), "POST", "/api/disconnect", None, wish.as_bytes()).status, 202);
    assert_eq!(poll.join().unwrap().status, 200);
    assert!(begin.elapsed() < Duration::from_secs(30));
    publish(&node, "r", "on");
    bob.hear("on");
}

/// A connection may be in so many rooms; one that it was taken out of is none of them.
#[test]
fn rooms_that_one_was_taken_out_of_do_not_count() {
    let redis = Redis::start().unwrap();
    let nodes = nodes(&redis, 1, &["limits.rooms_per_connection=3"]);
    let mut alice = Json::open(nodes[0].port(), &all("alice"));
    for round in 0..4 {
        let room = format!("r{round}");
        alice.subscribe(&room);
        let wish = json!({"unsubscribe": {"user": "alice", "room": room}}).to_string();
        redis.publish(CHANNEL, wish.as_bytes()).unwrap();
        assert_eq!(alice.until(|message| message["type"] == "unsubscribed")["room"], room);
    }
    // Nor is she told of them again.
    alice
        .ws
        .send_text(&json!({"type": "auth", "token": crate::mint(json!({"sub": "alice"}))}).to_string())
        .unwrap();
    assert_eq!(alice.pending(), ["ok "]);
}
