//! Nodes that die, nodes that are replaced, Redis that crashes, with its data and without.

use serde_json::json;

use crate::scene::{DURABLE, NODES, Scene};
use crate::sdk::Place;

/// All of them come to the same balancer.
fn add_clients(scene: &mut Scene, port: u16) {
    let only = |transport: &str| json!({ "transports": [transport] });
    let options =
        [json!({}), json!({}), only("websocket"), only("sse"), only("sse"), only("poll"), only("poll")];
    let configs = options.map(|options| scene.config(port, &options));
    scene.add(Place::Node, &configs);
}

fn add_pages(scene: &mut Scene, port: u16) {
    let only = |transport: &str| json!({ "transports": [transport] });
    let configs = [json!({}), only("sse"), only("poll")].map(|options| scene.config(port, &options));
    scene.add(Place::Chromium, &configs);
}

#[test]
fn nothing_is_lost_or_doubled_whatever_breaks() {
    let mut scene = Scene::start(&DURABLE, &[]);
    let balancer = scene.balancer();
    add_clients(&mut scene, balancer.port());
    add_pages(&mut scene, balancer.port());
    scene.wait_until_everyone_hears();
    for node in 0..NODES {
        scene.kill(node);
        scene.wait_until_everyone_hears();
    }
    scene.redis.stop();
    scene.redis.restart().unwrap();
    scene.wait_until_everyone_hears();
    scene.drain(0);
    scene.wait_until_everyone_hears();
    let (report, told) = scene.report();
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
    // Wherever a WebSocket or stream is, its node is killed once: seven of them, in three rooms.
    assert!(report.resumed >= 21, "{report}");
    assert!(told.iter().all(|client| client.closed.as_deref() == Some("")), "all were closed by the test");
}

#[test]
fn when_redis_loses_its_data_everyone_is_told() {
    let mut scene = Scene::start(&[], &[]);
    let balancer = scene.balancer();
    add_clients(&mut scene, balancer.port());
    add_pages(&mut scene, balancer.port());
    scene.wait_until_everyone_hears();
    scene.data_may_be_lost();
    scene.redis.stop();
    scene.redis.restart().unwrap();
    scene.wait_until_everyone_hears();
    let (report, told) = scene.report();
    assert_eq!(report.faults.len(), 0, "{report}");
    for client in told {
        assert!(client.causes.len() >= 3, "each room, at least once: {:?}", client.causes);
    }
}
