//! Tabs of one browser that share a connection, and lose it together.

use serde_json::json;

use crate::scene::{DURABLE, NODES, Scene};
use crate::sdk::Place;

#[test]
fn tabs_share_a_connection_and_nothing_is_lost_when_its_node_dies() {
    // The pages are not the gateway's.
    let mut scene = Scene::start(&DURABLE, &["cors.origins=*"]);
    let balancer = scene.balancer();
    let configs = [(); 3].map(|()| scene.config(balancer.port(), &json!({})));
    scene.add(Place::Tabs, &configs);
    scene.wait_until_everyone_hears();
    let open = |scene: &Scene| -> f64 {
        scene.nodes.iter().map(|node| node.metric("roomcast_connections", "").unwrap()).sum()
    };
    assert_eq!(open(&scene), 1.0);
    for node in 0..NODES {
        scene.kill(node);
        scene.wait_until_everyone_hears();
    }
    assert_eq!(open(&scene), 1.0);
    let (report, told) = scene.report();
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
    assert!(told.iter().all(|client| client.transports.len() >= 2), "the connection was on each node");
}
