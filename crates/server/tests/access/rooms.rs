//! Personal rooms: theirs alone, and unasked.

use roomcast_bench::SseClient;
use serde_json::json;

use crate::{Json, all, body, get, http, mint, node, stream};

#[test]
fn a_user_is_in_its_own_room_on_whatever_can_tell_rooms_apart() {
    let node = node(&["namespaces.default.history=10"]);
    let token = mint(json!({"sub": "alice", "rooms": {"subscribe": ["r"]}}));
    let mut json = Json::open(node.port(), &token);
    assert_eq!(json.welcome["user"], "alice");
    assert_eq!(json.next()["room"], "@alice");
    let mut later = Json::nobody(node.port());
    assert!(later.welcome["user"].is_null());
    assert_eq!(later.ask(json!({"type": "auth", "token": token}))["type"], "ok");
    let bearer = format!("Bearer {token}");
    let target = "/sse?room=r&format=json";
    let mut sse = SseClient::connect(node.port(), target, &[("Authorization", &bearer)]).unwrap().unwrap();
    let connected: serde_json::Value = serde_json::from_str(&sse.event().unwrap().data).unwrap();
    assert_eq!(connected["user"], "alice");
    assert!(connected["rooms"]["@alice"].is_object() && connected["rooms"]["r"].is_object());
    let cursor = body(&get(node.port(), "/poll?room=r&wait=0", Some(&token)))["cursor"].clone();
    let raw = crate::raw(node.port(), "r", &token);
    let mut bob = Json::open(node.port(), &all("bob"));
    bob.subscribe("r");

    let publish = "/api/publish";
    let wish = json!({"rooms": ["@alice", "r"], "data": "for alice"}).to_string();
    assert_eq!(http(node.admin_port(), "POST", publish, None, wish.as_bytes()).status, 202);
    for client in [&mut json, &mut later] {
        let message = client.until(|message| message["type"] == "message");
        assert_eq!((&message["room"], &message["data"]), (&json!("@alice"), &json!("for alice")));
    }
    let first: serde_json::Value = serde_json::from_str(&sse.event().unwrap().data).unwrap();
    assert_eq!(first["room"], "@alice");
    let target = format!("/poll?room=r&after={}", cursor.as_str().unwrap());
    let polled = body(&get(node.port(), &target, Some(&token)));
    let rooms: Vec<_> = polled["messages"].as_array().unwrap().iter().map(|m| m["room"].clone()).collect();
    assert!(rooms.contains(&json!("@alice")), "{polled}");
    // Messages of raw mode have no room: it gets those of the one that it asked for.
    let mut raw = raw;
    assert_eq!(raw.message().unwrap().text(), "\"for alice\"");
    http(node.admin_port(), "POST", publish, None, json!({"rooms": ["r"], "data": 2}).to_string().as_bytes());
    assert_eq!(raw.message().unwrap().text(), "2");
    assert_eq!(bob.pending(), ["message r", "message r"]);
}

#[test]
fn messages_say_whose_they_are() {
    let node = node(&["namespaces.default.history=10"]);
    let mut bob = Json::open(node.port(), &all("bob"));
    bob.subscribe("r");
    let mut events = stream(node.port(), "/sse?room=r&format=json", &all("carol"));
    http(node.port(), "POST", "/rooms/r/messages", Some(&all("alice")), b"1");
    assert_eq!(bob.until(|message| message["type"] == "message")["user"], "alice");
    let event: serde_json::Value = serde_json::from_str(&events.event().unwrap().data).unwrap();
    assert_eq!(event["user"], "alice");
    let history = body(&get(node.port(), "/rooms/r/history", Some(&all("bob"))));
    assert_eq!(history["messages"][0]["user"], "alice", "{history}");
    let wish = json!({"rooms": ["r"], "data": 2}).to_string();
    http(node.admin_port(), "POST", "/api/publish", None, wish.as_bytes());
    let message = bob.until(|message| message["type"] == "message");
    assert!(message.get("user").is_none_or(serde_json::Value::is_null), "{message}");
}
