//! The conformance suite and the outages, against a real redis-server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use roomcast_broker::conformance::{self, Node, suite, table};
use roomcast_broker::{BrokerEvent, event_queue};
use roomcast_broker_redis::{RedisBroker, RedisConfig, inspect};
use roomcast_protocol::{Payload, Publication, Room};
use tokio::net::{TcpListener, TcpStream};
use xtask::Redis;

fn config(url: &str) -> RedisConfig {
    RedisConfig::new(url, "room:", Duration::from_secs(2)).unwrap()
}

fn node(url: &str, id: u64) -> Node {
    let (sender, events) = event_queue();
    let (broker, driver) = RedisBroker::new(config(url), &conformance::node(id), sender, table());
    let driver = tokio::spawn(driver);
    Node::new(Arc::new(broker), events, move || driver.abort())
}

/// Commands fail until their connection stands.
async fn ready(node: &Node) {
    while node.broker.nodes().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn room(name: &str) -> Room {
    Room::parse(name).unwrap()
}

fn message(name: &str, payload: &str) -> Publication {
    Publication::plain(room(name), Payload::untyped(payload.to_owned()))
}

#[tokio::test]
async fn conforms() {
    let redis = Redis::start().unwrap();
    suite(|| async {
        // Each check begins with an empty server.
        redis.command(&[b"FLUSHALL"]).unwrap();
        let nodes = vec![node(&redis.url(), 1), node(&redis.url(), 2), node(&redis.url(), 3)];
        for node in &nodes {
            ready(node).await;
        }
        nodes
    })
    .await;
}

#[tokio::test]
async fn backends_publish_any_bytes_verbatim() {
    let redis = Redis::start().unwrap();
    let mut node = node(&redis.url(), 1);
    node.subscribe(&[room("chat:1")]).await;
    let everything: Vec<u8> = (0..=255).collect();
    for payload in [&b""[..], b"{\"a\":1}", &everything, b"\x01u\0\0"] {
        assert_eq!(redis.publish("room:chat:1", payload).unwrap(), 1);
        let expected = Publication::plain(room("chat:1"), Payload::untyped(payload.to_vec()));
        assert_eq!(node.publication().await, expected);
    }
}

#[tokio::test]
async fn rooms_are_left_on_redis_too() {
    let redis = Redis::start().unwrap();
    let mut node = node(&redis.url(), 1);
    node.subscribe(&[room("a"), room("b")]).await;
    node.broker.unsubscribe(&[room("a")]);
    for channel in ["room:a", "{room:a}:m"] {
        while redis.publish(channel, b"x").unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(redis.publish("room:b", b"x").unwrap(), 1);
}

/// Every way in which Redis can go away: afterwards all rooms are subscribed again, without a word
/// from the hub.
#[tokio::test]
async fn every_outage_ends_with_all_rooms_subscribed() {
    let mut redis = Redis::start().unwrap();
    let mut node = node(&redis.url(), 1);
    let rooms: Vec<_> = (0..600).map(|i| room(&format!("r:{i}"))).collect();
    node.subscribe(&rooms).await;

    redis.command(&[b"CLIENT", b"KILL", b"TYPE", b"pubsub"]).unwrap();
    comes_back(&mut node, &rooms).await;

    redis.command(&[b"CLIENT", b"PAUSE", b"5000", b"ALL"]).unwrap();
    comes_back(&mut node, &rooms).await;

    let port = redis.port().to_string();
    let mut sleeping =
        std::process::Command::new("redis-cli").args(["-p", &port, "DEBUG", "SLEEP", "5"]).spawn().unwrap();
    comes_back(&mut node, &rooms).await;
    sleeping.wait().unwrap();

    redis.stop();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let refused = node.broker.publish(message("r:1", "x"), None).await.unwrap_err();
    assert!(refused.to_string().contains("Redis at 127.0.0.1"), "{refused}");
    redis.restart().unwrap();
    comes_back(&mut node, &rooms).await;
    assert_eq!(node.broker.status().reconnects, 4);

    ready(&node).await;
    node.broker.publish(message("r:599", "alive"), None).await.unwrap();
    assert_eq!(node.publication().await, message("r:599", "alive"));
}

async fn comes_back(node: &mut Node, rooms: &[Room]) {
    let mut missing: HashSet<_> = rooms.iter().cloned().collect();
    let mut went_down = false;
    while !missing.is_empty() {
        match node.event().await {
            BrokerEvent::Down(_) => went_down = true,
            BrokerEvent::Subscribed(rooms) => {
                assert!(went_down, "confirmed without having been down");
                for room in rooms {
                    missing.remove(&room);
                }
            }
            _ => {}
        }
    }
}

/// Passes new connections on to whichever server is named last, and keeps the old ones where they
/// are: a service address during a failover.
async fn service_address(target: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let port = target.load(Ordering::Relaxed);
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

/// After a failover commands reach the new server while the link hangs, alive and answering pings,
/// on the old one.
#[tokio::test]
async fn a_deaf_link_is_found_out_and_replaced() {
    let (old, new) = (Redis::start().unwrap(), Redis::start().unwrap());
    let target = Arc::new(AtomicU16::new(old.port()));
    let port = service_address(Arc::clone(&target)).await;
    let mut node = node(&format!("redis://127.0.0.1:{port}"), 1);
    node.subscribe(&[room("a")]).await;
    ready(&node).await;

    target.store(new.port(), Ordering::Relaxed);
    old.command(&[b"CLIENT", b"KILL", b"TYPE", b"normal"]).unwrap();
    let broker = Arc::clone(&node.broker);
    let probing = tokio::spawn(async move {
        for token in 1.. {
            let _ = broker.probe(token).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    comes_back(&mut node, &[room("a")]).await;
    probing.abort();
    assert_eq!(new.publish("room:a", b"heard").unwrap(), 1);
    assert_eq!(node.publication().await, message("a", "heard"));
}

#[tokio::test]
async fn passwords() {
    let redis = Redis::start_with(&["--requirepass", "s3cret"]).unwrap();
    let mut good = node(&format!("redis://:s3cret@127.0.0.1:{}", redis.port()), 1);
    good.subscribe(&[room("a")]).await;
    let report = inspect(&config(&redis.url())).await.unwrap_err();
    assert!(report.contains("NOAUTH") || report.contains("Authentication"), "{report}");
}

#[tokio::test]
async fn inspection() {
    let redis = Redis::start().unwrap();
    let report = inspect(&config(&redis.url())).await.unwrap();
    assert!(report.major_version().unwrap() >= 7, "{report:?}");
    assert_eq!((&*report.mode, &*report.role), ("standalone", "master"));
    assert_eq!(report.functions, Some(Ok(Vec::new())), "no node has loaded any");
    assert_eq!(report.libraries.len(), 4, "{:?}", report.libraries);
    assert!(report.clock_skew.unwrap() < Duration::from_secs(1), "the same machine's clock");
    assert!(report.maxclients.unwrap() > 0);

    let nowhere = inspect(&config("redis://127.0.0.1:1")).await.unwrap_err();
    assert!(nowhere.contains("127.0.0.1:1"), "{nowhere}");
}
