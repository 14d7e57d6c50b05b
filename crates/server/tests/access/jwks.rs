//! Keys that an issuer publishes: rotated while clients are connected, asked for by made-up tokens, away for a while.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use xtask::process::{free_port, scratch_folder};
use xtask::{Node, wait_until};

use crate::issuer::{Issued, Issuer, setting};
use crate::{BINARY, Json, SECRET, all, get, http};

/// How often unknown keys make the node ask, as docs/tokens.md says.
const COOLDOWN: Duration = Duration::from_secs(10);

fn status(node: &Node, token: &str) -> u16 {
    get(node.port(), "/poll?room=r&wait=0", Some(token)).status
}

fn start(settings: &[&str]) -> Node {
    let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Node::start(BINARY, &arguments).unwrap()
}

#[test]
fn thousands_of_unknown_keys_cost_the_issuer_next_to_nothing() {
    let key = Issued::new("k");
    let issuer = Issuer::start(free_port(), &[&key]);
    let node = start(&[&issuer.setting()]);
    let good = key.token("alice", 600);
    wait_until("the keys are there", || status(&node, &good) == 200);
    let mut served = Json::open(node.port(), &good);
    let (before, begin) = (issuer.requests(), Instant::now());
    let port = node.port();
    let made_up: Vec<_> = (0..8)
        .map(|thread| {
            let tokens: Vec<_> =
                (0..500).map(|i| key.token_named("mallory", 600, &format!("{thread}-{i}"))).collect();
            std::thread::spawn(move || {
                let answers = tokens.iter().map(|token| get(port, "/poll?room=r&wait=0", Some(token)).status);
                answers.collect::<Vec<_>>()
            })
        })
        .collect();
    let mut answers: Vec<_> = made_up.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    // Unknown for certain, or not to be found out now.
    answers.sort_unstable();
    assert!(answers.len() == 4000 && answers.iter().all(|status| [401, 503].contains(status)), "{answers:?}");
    let (asked, took) = (issuer.requests() - before, begin.elapsed());
    println!("4000 unknown keys in {took:?}: the issuer was asked {asked} times");
    assert!(asked as u64 <= 2 + took.as_secs() / COOLDOWN.as_secs(), "{asked} in {took:?}");
    // Known keys are not delayed by any of it.
    assert_eq!(status(&node, &good), 200);
    assert_eq!(served.ask(json!({"type": "ping"}))["type"], "pong");
}

#[test]
fn keys_rotate_while_clients_are_connected() {
    let (old, new) = (Issued::new("old"), Issued::new("new"));
    let issuer = Issuer::start(free_port(), &[&old]);
    let node = start(&[&issuer.setting(), "auth.leeway=0s"]);
    wait_until("the keys are there", || status(&node, &old.token("alice", 600)) == 200);
    let mut client = Json::open(node.port(), &old.token("alice", 600));
    client.subscribe("r");
    issuer.publishes(&[&new]);
    let fresh = new.token("bob", 600);
    // Until the keys may be asked for again the answer is one that clients come back after.
    wait_until("the new key is known", || match status(&node, &fresh) {
        200 => true,
        503 => false,
        other => panic!("{other}"),
    });
    assert_eq!(http(node.port(), "POST", "/rooms/r/messages", Some(&fresh), b"1").status, 202);
    assert_eq!(client.until(|message| message["type"] == "message")["user"], "bob");
    // The vanished key opens nothing any more, not even for those who are in.
    let stale = old.token("alice", 600);
    wait_until("the old key is refused", || match status(&node, &stale) {
        401 => true,
        503 => false,
        other => panic!("{other}"),
    });
    assert_eq!(client.ask(json!({"type": "ping"}))["type"], "pong");
    // Its client goes on with a token of the new one, to the end of that.
    assert_eq!(client.ask(json!({"type": "auth", "token": new.token("alice", 5)}))["type"], "ok");
    assert_eq!(client.close_code(), 4401);
}

#[test]
fn an_issuer_that_is_away_at_the_start_may_come_later() {
    let (key, port) = (Issued::new("k"), free_port());
    let node = start(&[&setting(port)]);
    let token = key.token("alice", 600);
    let answer = get(node.port(), "/poll?room=r&wait=0", Some(&token));
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true), "{}", answer.text());
    let mut client = Json::nobody(node.port());
    let answer = client.ask(json!({"type": "auth", "token": token}));
    assert_eq!(answer["code"], "unavailable", "{answer}");
    let issuer = Issuer::start(port, &[&key]);
    wait_until("the keys are there", || status(&node, &token) == 200);
    assert_eq!(client.ask(json!({"type": "auth", "token": token}))["type"], "ok");
    // Away again: what was fetched stays in use.
    drop(issuer);
    assert_eq!(status(&node, &token), 200);
    assert_eq!(status(&node, &Issued::new("other").token("alice", 600)), 503);
    assert_eq!(status(&node, &token), 200);
}

#[test]
fn sighup_takes_new_keys_and_cuts_nobody() {
    let folder = scratch_folder("access").unwrap();
    let file = folder.join("roomcast.toml");
    let write = |keys: &str| std::fs::write(&file, format!("[auth]\nkeys = [{keys}]\n")).unwrap();
    let (first, second) =
        (format!("\"HS256/1:text:{SECRET}\""), "\"HS256/2:text:another secret of thirty-two bytes\"");
    write(&first);
    let node = Node::start(BINARY, &["--config", file.to_str().unwrap()]).unwrap();
    let old = all_named("1", SECRET);
    let new = all_named("2", "another secret of thirty-two bytes");
    assert_eq!((status(&node, &old), status(&node, &new)), (200, 401));
    let mut client = Json::open(node.port(), &old);
    client.subscribe("r");
    write(&format!("{first}, {second}"));
    node.signal(Signal::HUP).unwrap();
    wait_until("both keys are good", || status(&node, &new) == 200);
    assert_eq!(status(&node, &old), 200);
    write(second);
    node.signal(Signal::HUP).unwrap();
    wait_until("the old key is not", || status(&node, &old) == 401);
    assert_eq!(http(node.port(), "POST", "/rooms/r/messages", Some(&new), b"1").status, 202);
    assert_eq!(client.until(|message| message["type"] == "message")["data"], 1);
    assert_eq!(status(&node, &all("alice")), 401);
}

fn all_named(kid: &str, secret: &str) -> String {
    use roomcast_session::auth::{Algorithm, SigningKey, sign};
    let key = SigningKey::read(Algorithm::HS256, secret.as_bytes()).unwrap();
    let claims = json!({"sub": "alice", "exp": crate::now_s() + 600, "rooms": crate::everywhere()});
    sign(&key, Some(kid), &claims).unwrap()
}
