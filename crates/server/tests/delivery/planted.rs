//! The checker of these tests can see: a fault that is planted behind a node is found, and named as what it is.
//!
//! The fault is in a relay between the node and its client. For the client, and so for the checker, it is the same as a
//! switch in the node's writer that drops, doubles or swaps one message: nothing behind that place repairs anything. In
//! this way the binary under test is the one that is released, and no switch can be left on in it. The same relay between
//! Redis and a node shows the other half: what goes wrong there is repaired, and the checker has nothing to say.

use std::time::Duration;

use roomcast_bench::checker::{FaultKind, Report};
use xtask::{Node, Redis};

use crate::chaos::{BINARY, Chaos, NODES};
use crate::clients::Kind;
use crate::relay::{PLANTS, Plant, Relay, Wire};
use crate::scene::Scene;

/// Twice as many as pass before something happens, and more.
const MESSAGES: u64 = 120;
const PACE: Duration = Duration::from_millis(4);

fn is_of(plant: Plant, kind: FaultKind) -> bool {
    match plant {
        Plant::Drop => matches!(kind, FaultKind::Lost { .. }),
        Plant::Double => matches!(kind, FaultKind::Doubled(_)),
        Plant::Swap => matches!(kind, FaultKind::OutOfOrder(_)),
    }
}

fn play(scene: Scene) -> Report {
    scene.wait_until_all_began();
    scene.publish_while(2, PACE, MESSAGES, || ());
    scene.report()
}

#[test]
fn the_checker_sees_what_is_dropped_doubled_or_swapped_on_the_way_to_a_client() {
    let chaos = Chaos::new(&[], 0);
    let scene = Scene::new(chaos.ports(), &["a"]);
    let mut planted = Vec::new();
    for (kind, wire) in [(Kind::Sse, Wire::Sse), (Kind::Json, Wire::Json)] {
        for plant in PLANTS {
            let relay = Relay::start(chaos.ports()[planted.len() % NODES], wire, plant);
            planted.push((scene.add_client_of(&[relay.port], kind, &["a"]), plant, relay));
        }
        scene.add_client(kind, &["a"]);
    }
    let report = play(scene);
    println!("{report}");
    for (client, plant, relay) in &planted {
        assert!(relay.has_planted());
        let kinds: Vec<_> =
            report.faults.iter().filter(|fault| fault.client == *client).map(|fault| fault.kind).collect();
        assert!(kinds.len() == 1 && is_of(*plant, kinds[0]), "{client}, {plant:?}: {kinds:?}");
    }
    assert_eq!(report.faults.len(), planted.len(), "those to whom nothing was done have no faults: {report}");
}

#[test]
fn what_is_dropped_doubled_or_swapped_on_the_way_to_a_node_is_repaired() {
    let redis = Redis::start().unwrap();
    let relays = PLANTS.map(|plant| Relay::start(redis.port(), Wire::Redis, plant));
    let nodes = relays.each_ref().map(|relay| {
        let url = format!("redis://127.0.0.1:{}", relay.port);
        Node::start(BINARY, &["--redis", &url, "--set", "namespaces.default.history=1000"]).unwrap()
    });
    let ports = nodes.each_ref().map(Node::port);
    let scene = Scene::new(ports, &["a"]);
    for port in ports {
        for kind in [Kind::Sse, Kind::Json, Kind::Poll, Kind::Raw] {
            scene.add_client_of(&[port], kind, &["a"]);
        }
    }
    let report = play(scene);
    println!("{report}");
    assert!(relays.iter().all(Relay::has_planted));
    assert_eq!((report.faults.len(), report.told), (0, 0), "{report}");
    assert!(report.deliveries >= MESSAGES * 3 * NODES as u64, "{report}");
}
