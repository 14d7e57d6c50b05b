//! A laptop that is closed for a while: the process stops, the gateway gives its clients up, and the clock has jumped when it goes on.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use xtask::wait_until;

use crate::scene::{DURABLE, Scene};
use crate::sdk::Place;

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

#[test]
fn nothing_is_lost_while_a_laptop_sleeps() {
    let mut scene = Scene::start(&DURABLE, &["server.heartbeat=1s"]);
    let port = scene.nodes[0].port();
    let transports = ["websocket", "sse", "poll"];
    let configs = transports.map(|transport| scene.config(port, &json!({ "transports": [transport] })));
    let sleeper = scene.add(Place::Node, &configs);
    let other = scene.config(scene.nodes[1].port(), &json!({}));
    scene.add(Place::Node, &[other]);
    scene.wait_until_everyone_hears();

    let pid = scene.program(sleeper).pid();
    send(pid, Signal::STOP);
    let open = |scene: &Scene| scene.nodes[0].metric("roomcast_connections", "websocket_json").unwrap();
    wait_until("the gateway has given the sleeping WebSocket up", || open(&scene) == 0.0);
    send(pid, Signal::CONT);

    scene.wait_until_everyone_hears();
    let (report, told) = scene.report();
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
    assert!(told[0].transports.len() >= 2, "the WebSocket has come back");
}
