//! A laptop that is closed for a while: nothing comes through any more, the gateway gives its clients up, and the clock has jumped when
//! they go on.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use xtask::wait_until;

use crate::relay::Relay;
use crate::scene::{DURABLE, Scene};
use crate::sdk::Place;

/// How far the clock of a page jumps: more than a stream may be silent, and less than what was sent before may be repeated for.
const JUMP_MS: u32 = 120_000;

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// A client of each transport.
fn configs(scene: &mut Scene, port: u16) -> [Value; 3] {
    ["websocket", "sse", "poll"].map(|transport| scene.config(port, &json!({ "transports": [transport] })))
}

/// One who stays awake, on another node.
fn add_other(scene: &mut Scene) {
    let other = scene.config(scene.nodes[1].port(), &json!({}));
    scene.add(Place::Node, &[other]);
    scene.wait_until_everyone_hears();
}

fn wait_until_given_up(scene: &Scene) {
    let open = || scene.nodes[0].metric("roomcast_connections", "websocket_json").unwrap();
    wait_until("the gateway has given the sleeping WebSocket up", || open() == 0.0);
}

#[test]
fn nothing_is_lost_while_a_laptop_sleeps() {
    let mut scene = Scene::start(&DURABLE, &["server.heartbeat=1s"]);
    let port = scene.nodes[0].port();
    let configs = configs(&mut scene, port);
    let sleeper = scene.add(Place::Node, &configs);
    add_other(&mut scene);

    let pid = scene.program(sleeper).pid();
    send(pid, Signal::STOP);
    wait_until_given_up(&scene);
    send(pid, Signal::CONT);

    scene.wait_until_everyone_hears();
    let (report, told) = scene.report();
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
    assert!(told[0].transports.len() >= 2, "the WebSocket has come back");
}

#[test]
fn nothing_is_lost_when_the_clock_of_a_page_jumps_and_its_connections_are_dead() {
    let mut scene = Scene::start(&DURABLE, &["server.heartbeat=1s"]);
    let relay = Relay::start(scene.nodes[0].port());
    let configs = configs(&mut scene, relay.port).map(|mut config| {
        config["hasClock"] = json!(true);
        config
    });
    let sleeper = scene.add(Place::Chromium, &configs);
    add_other(&mut scene);

    relay.go_dead();
    wait_until_given_up(&scene);
    for n in 0..configs.len() {
        scene.tell(sleeper, &json!({ "n": n, "jump": JUMP_MS }));
    }

    scene.wait_until_everyone_hears();
    let (report, told) = scene.report();
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
    for client in &told[..configs.len()] {
        assert!(client.transports.len() >= 2, "{} has come back", client.record.client);
    }
}

#[test]
fn a_clock_that_jumps_alone_costs_nothing() {
    let mut scene = Scene::start(&DURABLE, &[]);
    let port = scene.nodes[0].port();
    let configs = configs(&mut scene, port).map(|mut config| {
        config["hasClock"] = json!(true);
        config
    });
    let sleeper = scene.add(Place::Chromium, &configs);
    scene.wait_until_everyone_hears();
    for n in 0..configs.len() {
        scene.tell(sleeper, &json!({ "n": n, "jump": JUMP_MS }));
    }
    wait_until("a stream that seems to have been silent is opened again", || {
        scene.program(sleeper).told()[1].transports.len() >= 2
    });
    scene.wait_until_everyone_hears();
    let (report, _) = scene.report();
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
}
