//! Tokens that end, with and without somebody to give another, and a user who is disconnected.

use std::io::Write;

use serde_json::{Value, json};
use xtask::wait_until;

use crate::scene::{DURABLE, ROOMS, Scene};
use crate::sdk::Place;

const SECRET: &str = "a secret that is long enough for HS256";

fn settings() -> [String; 2] {
    [format!("auth.keys=HS256:text:{SECRET}"), "auth.leeway=0s".to_owned()]
}

fn with_token(mut config: Value, seconds: u64, is_fixed: bool) -> Value {
    let more = json!({ "secret": SECRET, "tokenSeconds": seconds, "isTokenFixed": is_fixed });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

#[test]
fn fresh_tokens_are_asked_for_and_nothing_is_lost() {
    let settings = settings();
    let mut scene = Scene::start(&DURABLE, &settings.each_ref().map(String::as_str));
    let port = scene.nodes[0].port();
    let transports = ["websocket", "sse", "poll"];
    let programs = [Place::Node, Place::Chromium].map(|place| {
        let configs = transports
            .map(|transport| with_token(scene.config(port, &json!({ "transports": [transport] })), 4, false));
        scene.add(place, &configs)
    });
    wait_until("every client has asked for three tokens", || {
        programs
            .iter()
            .all(|program| scene.program(*program).told().iter().all(|client| client.tokens.len() >= 3))
    });
    scene.wait_until_everyone_hears();
    let (report, told) = scene.report();
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
    for client in told {
        assert_eq!(client.tokens[..2], ["connect", "expired"]);
        // One for each time that the token had ended, not one after the other.
        assert!(client.tokens.len() < 20, "{:?}", client.tokens);
    }
}

#[test]
fn a_token_that_has_ended_and_a_disconnected_user_do_not_come_back() {
    let settings = settings();
    let mut scene = Scene::start(&DURABLE, &settings.each_ref().map(String::as_str));
    let (node, admin) = (scene.nodes[0].port(), scene.nodes[0].admin_port());
    let quiet = |mut config: Value, seconds, rooms: &[&str]| {
        config["publisher"] = Value::Null;
        config["rooms"] = json!(rooms);
        with_token(config, seconds, true)
    };
    let configs = ["websocket", "sse", "poll"]
        .map(|transport| quiet(scene.config(node, &json!({ "transports": [transport] })), 10, &ROOMS));
    let ended = scene.add(Place::Node, &configs);
    let config = quiet(scene.config(node, &json!({ "transports": ["websocket"] })), 3600, &ROOMS);
    let disconnected = scene.add(Place::Node, &[config]);
    let closed = |scene: &Scene, program| -> Vec<Option<String>> {
        scene.program(program).told().iter().map(|client| client.closed.clone()).collect()
    };
    wait_until("those whose token has ended give up", || closed(&scene, ended).iter().all(Option::is_some));
    assert_eq!(closed(&scene, ended), vec![Some("unauthorized".to_owned()); 3]);
    assert_eq!(closed(&scene, disconnected), [None]);
    disconnect(admin);
    wait_until("the disconnected user gives up", || closed(&scene, disconnected)[0].is_some());
    assert_eq!(closed(&scene, disconnected), [Some("disconnected".to_owned())]);
}

fn disconnect(admin: u16) {
    let body = r#"{"user":"sdk"}"#;
    let mut stream = roomcast_bench::http::connect(admin).unwrap();
    write!(
        stream,
        "POST /api/disconnect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let answer = roomcast_bench::http::read_response(&mut std::io::BufReader::new(stream)).unwrap();
    assert!(answer.status < 300, "{}", answer.text());
}
