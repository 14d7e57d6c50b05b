//! Tabs of one browser that share a connection, and lose it together.

use serde_json::{Value, json};
use xtask::wait_until;

use crate::scene::{DURABLE, NODES, Scene};
use crate::sdk::Place;

/// The pages are not the gateway's.
const ORIGINS: &str = "cors.origins=*";

fn tab(scene: &mut Scene, port: u16) -> Value {
    let mut config = scene.config(port, &json!({}));
    config["isShared"] = json!(true);
    config
}

/// Over all nodes.
fn sum(scene: &Scene, metric: &str) -> f64 {
    scene.nodes.iter().map(|node| node.metric(metric, "").unwrap()).sum()
}

#[test]
fn tabs_share_a_connection_and_nothing_is_lost_when_its_node_dies() {
    let mut scene = Scene::start(&DURABLE, &[ORIGINS]);
    let balancer = scene.balancer();
    let configs = [(); 3].map(|()| tab(&mut scene, balancer.port()));
    scene.add(Place::Chromium, &configs);
    scene.wait_until_everyone_hears();
    assert_eq!(sum(&scene, "roomcast_connections"), 1.0);
    for node in 0..NODES {
        scene.kill(node);
        scene.wait_until_everyone_hears();
    }
    assert_eq!(sum(&scene, "roomcast_connections"), 1.0);
    let (report, told) = scene.report();
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
    assert!(told.iter().all(|client| client.transports.len() >= 2), "the connection was on each node");
}

#[test]
fn when_the_tab_dies_that_has_the_connection_the_others_make_another_and_miss_nothing() {
    let mut scene = Scene::start(&DURABLE, &[ORIGINS]);
    let port = scene.nodes[0].port();
    let mut configs = [(); 4].map(|()| tab(&mut scene, port));
    // What a tab was about to publish when it died, nobody can tell.
    for config in &mut configs[..2] {
        config["publisher"] = Value::Null;
    }
    // This one cannot make another worker, and has a connection of its own then.
    configs[3]["hasOneWorker"] = json!(true);
    let tabs = scene.add(Place::Chromium, &configs);
    let other = scene.config(scene.nodes[1].port(), &json!({}));
    scene.add(Place::Node, &[other]);
    scene.wait_until_everyone_hears();
    // The worker runs in the process of the tab that was first.
    for dying in 0..2 {
        scene.tell(tabs, &json!({ "n": dying, "crash": true }));
        wait_until("the tab is gone", || scene.program(tabs).told()[dying].is_gone);
        scene.wait_until_everyone_hears();
    }
    // One that is shared, and two of single clients.
    wait_until("all are connected again", || sum(&scene, "roomcast_connections") == 3.0);
    let (report, told) = scene.report();
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
    assert!(told[..2].iter().all(|client| client.is_gone) && told[2..].iter().all(|client| !client.is_gone));
}
