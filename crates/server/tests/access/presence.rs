//! Users in rooms: one member, whatever it is connected with and wherever.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xtask::{Node, Redis, wait_until};

use crate::{Json, all, body, everywhere, get, mint, nodes, raw, stream};

/// Well below the two seconds that a member may be away.
const IN_TIME: Duration = Duration::from_millis(1500);

const PRESENCE: &str = "namespaces.default.presence=true";

fn token(user: &str, name: &str) -> String {
    mint(json!({"sub": user, "info": {"name": name}, "rooms": everywhere()}))
}

/// The members of a room, as HTTP lists them.
fn members(node: &Node, room: &str) -> Vec<Value> {
    let answer = get(node.port(), &format!("/rooms/{room}/presence"), Some(&all("operator")));
    let answer = body(&answer);
    assert_eq!(answer["total"], answer["members"].as_array().unwrap().len());
    answer["members"].as_array().unwrap().clone()
}

/// A watcher, which is the only member so far.
fn watcher(node: &Node) -> Json {
    let mut watcher = Json::open(node.port(), &all("watcher"));
    let answer = watcher.ask(json!({"type": "subscribe", "room": "r", "presence": true}));
    assert_eq!(answer["type"], "subscribed");
    let list = watcher.until(|message| message["type"] == "members");
    if list["members"] == json!([]) {
        changes(&mut watcher, 1);
    }
    watcher
}

/// Reads pushes until so many have come and gone: `+alice` and `-alice`.
fn changes(watcher: &mut Json, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < count {
        let push = watcher.until(|message| message["type"] == "presence");
        for (sign, list) in [('+', &push["joined"]), ('-', &push["left"])] {
            for member in list.as_array().unwrap() {
                let name = member["user"].as_str().unwrap_or("somebody");
                all.push(format!("{sign}{name}"));
            }
        }
    }
    all
}

#[test]
fn a_user_is_one_member_with_all_its_connections() {
    let redis = Redis::start().unwrap();
    let nodes = nodes(&redis, 3, &[PRESENCE]);
    let mut watcher = watcher(&nodes[0]);
    let alice = token("alice", "Alice");
    let mut json = Json::open(nodes[1].port(), &alice);
    json.subscribe("r");
    assert_eq!(changes(&mut watcher, 1), ["+alice"]);
    let others = (
        raw(nodes[1].port(), "r", &alice),
        raw(nodes[2].port(), "r", &alice),
        stream(nodes[0].port(), "/sse?room=r", &alice),
    );
    for node in &nodes {
        wait_until("all four are counted", || {
            members(node, "r")
                .contains(&json!({"user": "alice", "connections": 4, "info": {"name": "Alice"}}))
        });
        assert_eq!(members(node, "r").len(), 2);
    }
    let asked = watcher.ask(json!({"type": "presence", "room": "r"}));
    assert!(asked["members"].as_array().unwrap().iter().any(|member| member["connections"] == 4), "{asked}");
    // All but one go, and nobody is told; then a marker, and the last one.
    drop((others, json));
    let bob = raw(nodes[2].port(), "r", &all("bob"));
    let mut heard = changes(&mut watcher, 2);
    heard.sort();
    assert_eq!(heard, ["+bob", "-alice"]);
    wait_until("she is gone", || members(&nodes[0], "r").len() == 2);
    drop(bob);
    assert_eq!(changes(&mut watcher, 1), ["-bob"]);
}

#[test]
fn moving_within_the_grace_is_not_told() {
    let redis = Redis::start().unwrap();
    let nodes = nodes(&redis, 3, &[PRESENCE]);
    let mut watcher = watcher(&nodes[0]);
    let alice = token("alice", "Alice");
    // A machine that was too busy to move in time proves nothing, and tries again.
    let mut here = None;
    for attempt in 0..10 {
        here = Some(raw(nodes[0].port(), "r", &alice));
        assert_eq!(changes(&mut watcher, 1), ["+alice"]);
        let mut slowest = Duration::ZERO;
        for node in nodes.iter().cycle().skip(1).take(6) {
            let begin = Instant::now();
            drop(here.take());
            here = Some(raw(node.port(), "r", &alice));
            slowest = slowest.max(begin.elapsed());
        }
        if slowest < IN_TIME {
            break;
        }
        assert!(attempt < 9, "moving takes {slowest:?}");
        drop(here.take());
        while changes(&mut watcher, 1) != ["-alice"] || members(&nodes[0], "r").len() > 1 {}
    }
    // Whatever was to be told of it comes before these.
    let one = |member: &Value| member["user"] == "alice" && member["connections"] == 1;
    wait_until("the graces are over", || members(&nodes[0], "r").iter().any(one));
    let last = raw(nodes[1].port(), "r", &all("bob"));
    assert_eq!(changes(&mut watcher, 1), ["+bob"]);
    drop((here, last));
    let mut gone = changes(&mut watcher, 2);
    gone.sort();
    assert_eq!(gone, ["-alice", "-bob"]);
}

#[test]
fn who_signs_in_later_is_seen_as_somebody_else_from_then_on() {
    let redis = Redis::start().unwrap();
    let nodes = nodes(&redis, 2, &[PRESENCE, "namespaces.default.subscribe=anyone"]);
    let mut watcher = watcher(&nodes[0]);
    let mut client = Json::connect(nodes[1].port(), "/ws?room=r", None).unwrap();
    assert_eq!(changes(&mut watcher, 1), ["+somebody"]);
    assert_eq!(client.ask(json!({"type": "auth", "token": token("alice", "Alice")}))["type"], "ok");
    let mut heard = changes(&mut watcher, 2);
    heard.sort();
    assert_eq!(heard, ["+alice", "-somebody"]);
    wait_until("she is listed", || {
        members(&nodes[0], "r")
            .contains(&json!({"user": "alice", "connections": 1, "info": {"name": "Alice"}}))
    });
    // A fresh token may say more about her.
    assert_eq!(client.ask(json!({"type": "auth", "token": token("alice", "Alice A.")}))["type"], "ok");
    wait_until("it is shown", || {
        members(&nodes[0], "r").iter().any(|member| member["info"]["name"] == "Alice A.")
    });
    assert_eq!(members(&nodes[0], "r").len(), 2);
    drop(client);
    assert_eq!(changes(&mut watcher, 1), ["-alice"]);
}

#[test]
fn who_is_taken_out_of_a_room_is_not_seen_there_any_more() {
    let redis = Redis::start().unwrap();
    let nodes = nodes(&redis, 2, &[PRESENCE]);
    let mut watcher = watcher(&nodes[0]);
    let mut alice = Json::open(nodes[1].port(), &all("alice"));
    alice.subscribe("r");
    assert_eq!(changes(&mut watcher, 1), ["+alice"]);
    redis.publish("roomcast:control", br#"{"unsubscribe":{"user":"alice","room":"r"}}"#).unwrap();
    assert_eq!(changes(&mut watcher, 1), ["-alice"]);
    alice.subscribe("r");
    assert_eq!(changes(&mut watcher, 1), ["+alice"]);
    redis.publish("roomcast:control", br#"{"disconnect":{"user":"alice"}}"#).unwrap();
    assert_eq!(changes(&mut watcher, 1), ["-alice"]);
    assert_eq!(members(&nodes[1], "r").len(), 1);
}
