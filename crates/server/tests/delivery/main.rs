//! Nobody loses a message, gets one twice or out of order, whatever breaks: nodes, Redis, connections.
//!
//! The seed of a run is printed; `ROOMCAST_CHAOS_SEED` repeats it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod clients;
mod planted;
mod publishers;
mod relay;
mod scene;

use std::time::Duration;

use chaos::{Chaos, Fault};
use clients::Kind;
use scene::Scene;
use xtask::balancer;

/// A crash of Redis then loses nothing that it has answered.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

#[test]
fn nothing_is_lost_doubled_or_swapped() {
    let seed = chaos::seed();
    let mut chaos = Chaos::new(&DURABLE, seed);
    let scene = Scene::new(chaos.ports(), &["a", "b", "c", "d"]);
    for room in ["a", "b", "c", "d"] {
        for kind in [Kind::Sse, Kind::Json, Kind::Poll] {
            (0..2).for_each(|_| scene.add_client(kind, &[room]));
        }
        scene.add_client(Kind::Raw, &[room]);
    }
    (0..10).for_each(|_| scene.add_client(Kind::Sse, &["a", "b", "c", "d"]));
    (0..12).for_each(|_| scene.add_client(Kind::Json, &["a", "b", "c", "d"]));
    (0..6).for_each(|_| scene.add_client(Kind::Poll, &["a", "b", "c", "d"]));
    scene.wait_until_all_began();

    // Each message goes to 34 clients, and to those of raw mode while they are connected.
    scene.publish_while(4, Duration::from_millis(12), 3_200, || {
        // In every run also where nothing else is broken.
        chaos.inject(Fault::RollingRestart, &scene);
        chaos.rage(&scene);
    });
    let report = scene.report();
    println!("seed {seed}: {report}\nfaults injected: {}", chaos.injected());
    assert!(report.deliveries >= 100_000, "{report}");
    assert_eq!((report.faults.len(), report.told), (0, 0), "seed {seed}: {report}");
    assert!(report.resumed > 100, "{report}");
}

/// Redis, the load balancer and all nodes, each as its operator restarts it, with clients that know the balancer only.
#[test]
fn everything_may_be_restarted_one_after_another() {
    let seed = chaos::seed();
    let mut chaos = Chaos::new(&DURABLE, seed);
    let port = xtask::free_port();
    let deployed = balancer::configuration(balancer::Kind::Haproxy, port, &chaos.addresses()).unwrap();
    // What is left of an old worker's streams is cut sooner, only so that the test ends sooner.
    let configuration = deployed.replace("hard-stop-after 30s", "hard-stop-after 1s");
    assert_ne!(configuration, deployed);
    let balancer = balancer::Balancer::start_with(balancer::Kind::Haproxy, port, &configuration).unwrap();
    let scene = Scene::new([port; chaos::NODES], &["a", "b"]);
    for kind in [Kind::Sse, Kind::Json, Kind::Poll] {
        (0..3).for_each(|_| scene.add_client(kind, &["a"]));
        (0..3).for_each(|_| scene.add_client(kind, &["a", "b"]));
    }
    scene.wait_until_all_began();
    scene.publish_while(2, Duration::from_millis(15), 400, || {
        scene.wait_until_everyone_hears();
        chaos.restart_redis();
        scene.wait_until_everyone_hears();
        balancer.reload().unwrap();
        scene.wait_until_everyone_hears();
        chaos.inject(Fault::RollingRestart, &scene);
        scene.wait_until_everyone_hears();
    });
    let report = scene.report();
    println!("seed {seed}: {report}");
    assert_eq!((report.faults.len(), report.told), (0, 0), "seed {seed}: {report}");
    assert!(report.resumed > 36, "everyone came back more than once: {report}");
}

#[test]
fn when_redis_loses_its_data_everyone_is_told() {
    let seed = chaos::seed();
    let mut chaos = Chaos::new(&[], seed);
    let scene = Scene::new(chaos.ports(), &["a", "b"]);
    scene.data_may_be_lost();
    for kind in [Kind::Sse, Kind::Json, Kind::Poll] {
        (0..2).for_each(|_| scene.add_client(kind, &["a"]));
        (0..2).for_each(|_| scene.add_client(kind, &["a", "b"]));
    }
    scene.wait_until_all_began();
    scene.publish_while(2, Duration::from_millis(10), 100, || {
        for fault in [Fault::RedisRestarted, Fault::ClientsCut, Fault::RedisRestarted] {
            // Nobody can tell of a history of which nobody saw anything.
            scene.wait_until_everyone_hears();
            chaos.inject(fault, &scene);
        }
        scene.wait_until_everyone_hears();
    });
    let report = scene.report();
    println!("seed {seed}: {report}");
    assert_eq!(report.faults.len(), 0, "seed {seed}: {report}");
    // Each of 18 memberships, twice.
    assert!(report.told >= 36, "{report}");
}
