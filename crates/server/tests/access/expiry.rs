//! A token ends, and with it what it had opened, unless a fresh one comes first.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{Json, all, body, everywhere, get, http, mint, node, now_s, raw, stream};

/// A token that ends in so many seconds.
fn brief(user: &str, seconds: u64) -> String {
    mint(json!({"sub": user, "rooms": everywhere(), "exp": now_s() + seconds}))
}

fn auth(client: &mut Json, token: &str) -> Value {
    client.ask(json!({"type": "auth", "token": token}))
}

#[test]
fn what_a_token_opened_ends_with_it() {
    let node = node(&["auth.leeway=0s"]);
    let port = node.port();
    let end = now_s() + 8;
    let token = mint(json!({"sub": "alice", "rooms": everywhere(), "exp": end}));
    let poll = std::thread::spawn({
        let token = token.clone();
        move || (get(port, "/poll?room=r&wait=50", Some(&token)), now_s())
    });
    let mut json = Json::open(port, &token);
    json.subscribe("r");
    let mut raw = raw(port, "r", &token);
    let mut events = stream(port, "/sse?room=r", &token);
    let mut refreshed = Json::open(port, &token);
    assert_eq!(auth(&mut refreshed, &all("alice"))["type"], "ok");
    let mut later = Json::nobody(port);
    assert_eq!(auth(&mut later, &token)["type"], "ok");
    // All of them are served until then.
    http(port, "POST", "/rooms/r/messages", Some(&token), b"1");
    json.until(|message| message["type"] == "message");
    assert_eq!(raw.message().unwrap().text(), "1");
    assert_eq!(events.event().unwrap().data, "1");

    assert_eq!(json.close_code(), 4401);
    assert!(now_s() >= end);
    assert_eq!(raw.close_code().unwrap(), Some(4401));
    assert_eq!(later.close_code(), 4401);
    assert!(events.event().is_err(), "the stream ends");
    let (answer, ended) = poll.join().unwrap();
    assert_eq!(answer.status, 200, "a message was there before the end");
    assert!(ended <= end + 20 && body(&answer)["messages"].as_array().unwrap().len() == 1);
    assert_eq!(get(port, "/poll?room=r", Some(&token)).status, 401);
    assert_eq!(refreshed.ask(json!({"type": "ping"}))["type"], "pong");
    assert_eq!(node.metric("roomcast_closes_total", "code=\"4401\"").unwrap(), 3.0);
}

#[test]
fn a_poll_waits_no_longer_than_its_token() {
    let node = node(&["auth.leeway=0s"]);
    let begin = Instant::now();
    let answer = get(node.port(), "/poll?room=r&wait=55", Some(&brief("alice", 5)));
    assert_eq!((answer.status, body(&answer)["messages"].clone()), (200, json!([])));
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn the_leeway_keeps_a_connection_a_little_longer() {
    let node = node(&["auth.leeway=8s"]);
    let token = brief("alice", 0);
    let end = now_s() + 7;
    let mut client = Json::open(node.port(), &token);
    assert_eq!(client.close_code(), 4401);
    assert!(now_s() >= end);
}

#[test]
fn fresh_tokens_keep_a_connection_and_their_end_counts() {
    let node = node(&["auth.leeway=0s"]);
    let mut client = Json::open(node.port(), &all("alice"));
    client.subscribe("r");
    // A fresh token may end sooner, too.
    let end = now_s() + 5;
    for seconds in [30, 3600, 5] {
        assert_eq!(auth(&mut client, &brief("alice", seconds))["type"], "ok");
    }
    assert_eq!(client.close_code(), 4401);
    assert!(now_s() >= end);
}

#[test]
fn a_token_of_somebody_else_changes_nothing() {
    let node = node(&[]);
    let mut client = Json::open(node.port(), &all("alice"));
    client.subscribe("r");
    assert_eq!(auth(&mut client, &all("bob"))["code"], "forbidden");
    let nameless = mint(json!({"rooms": everywhere()}));
    assert_eq!(auth(&mut client, &nameless)["code"], "forbidden");
    http(node.port(), "POST", "/rooms/@alice/messages", Some(&all("alice")), b"1");
    assert_eq!(client.until(|message| message["type"] == "message")["room"], "@alice");
    assert_eq!(client.ask(json!({"type": "subscribe", "room": "@bob"}))["code"], "forbidden");
    // One with rights and no name may become somebody.
    let mut service = Json::open(node.port(), &nameless);
    service.subscribe("r");
    assert_eq!(auth(&mut service, &all("alice"))["type"], "ok");
    http(node.port(), "POST", "/rooms/@alice/messages", Some(&all("alice")), b"2");
    assert_eq!(service.until(|message| message["type"] == "message")["room"], "@alice");
}

#[test]
fn fewer_grants_mean_fewer_rooms() {
    let node = node(&["namespaces.open.subscribe=anyone"]);
    let mut client = Json::open(node.port(), &all("alice"));
    for room in ["a", "b", "open:1"] {
        client.subscribe(room);
    }
    let less = mint(json!({"sub": "alice", "rooms": {"subscribe": ["b"]}}));
    client.ws.send_text(&json!({"type": "auth", "token": less, "ref": "x"}).to_string()).unwrap();
    let mut told = Vec::new();
    loop {
        let message = client.next();
        if message["ref"] == "x" {
            break;
        }
        told.push((message["type"].clone(), message["room"].clone()));
    }
    assert_eq!(told, [(json!("unsubscribed"), json!("a"))]);
    for room in ["a", "b", "open:1", "@alice"] {
        http(
            node.admin_port(),
            "POST",
            "/api/publish",
            None,
            json!({"rooms": [room], "data": 1}).to_string().as_bytes(),
        );
    }
    for room in ["b", "open:1", "@alice"] {
        assert_eq!(client.until(|message| message["type"] == "message")["room"], room);
    }
    for command in ["subscribe", "publish", "history", "presence"] {
        let answer = client.ask(json!({"type": command, "room": "a", "data": 1}));
        assert_eq!(answer["code"], "forbidden", "{command}: {answer}");
    }
}

/// The ten seconds are real: nothing shortens them.
#[test]
fn who_may_do_nothing_has_ten_seconds_to_say_who_it_is() {
    let node = node(&["namespaces.open.subscribe=anyone"]);
    let begin = Instant::now();
    let mut silent = Json::nobody(node.port());
    let mut busy = Json::nobody(node.port());
    let mut signed_in = Json::nobody(node.port());
    assert_eq!(auth(&mut signed_in, &all("alice"))["type"], "ok");
    let mut listens = Json::nobody(node.port());
    listens.subscribe("open:1");
    let mut in_url = Json::connect(node.port(), "/ws?room=open:1", None).unwrap();
    // Talking is not signing in.
    assert_eq!(busy.ask(json!({"type": "ping"}))["type"], "pong");
    assert_eq!(busy.ask(json!({"type": "subscribe", "room": "r"}))["code"], "unauthorized");
    assert_eq!(silent.close_code(), 4401);
    assert!(begin.elapsed() >= Duration::from_secs(10));
    assert_eq!(busy.close_code(), 4401);
    for client in [&mut signed_in, &mut listens, &mut in_url] {
        assert_eq!(client.ask(json!({"type": "ping"}))["type"], "pong");
    }
}
