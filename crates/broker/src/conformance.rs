//! What every implementation of the contract must pass.
//!
//! An implementation's test calls [`suite`] with a function that makes a fresh cluster of one or
//! more nodes. Each check runs on a cluster of its own.

mod history;
mod presence;

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use roomcast_protocol::{
    ConnectionId, Control, EventName, NodeId, Payload, PayloadKind, Publication, Room, TraceContext,
};
use tokio::time::timeout;

pub use presence::delta;

use crate::{
    Broker, BrokerEvent, EventReceiver, NodeInfo, NodeReport, Retention, RetentionTable, SharedRetention,
};

/// How long the suite waits for something that must come. Generous: it only bounds a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// One node of the cluster under test.
pub struct Node {
    /// The broker of this node.
    pub broker: Arc<dyn Broker>,
    events: EventReceiver,
    stop: Option<Box<dyn FnOnce()>>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }
}

impl Node {
    /// A node, its end of the event queue, and what stops its background work.
    pub fn new(broker: Arc<dyn Broker>, events: EventReceiver, stop: impl FnOnce() + 'static) -> Self {
        Self { broker, events, stop: Some(Box::new(stop)) }
    }

    /// The next event; panics if none comes in time.
    pub async fn event(&mut self) -> BrokerEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("the broker lives")
    }

    /// Subscribes and waits until every room is confirmed. Drops publications that come before.
    pub async fn subscribe(&mut self, rooms: &[Room]) {
        self.broker.subscribe(rooms);
        self.confirmed(rooms).await;
    }

    /// Waits until every room is confirmed.
    pub async fn confirmed(&mut self, rooms: &[Room]) {
        let mut missing: HashSet<_> = rooms.iter().cloned().collect();
        while !missing.is_empty() {
            if let BrokerEvent::Subscribed(rooms) = self.event().await {
                for room in rooms {
                    missing.remove(&room);
                }
            }
        }
    }

    /// The next publication.
    pub async fn publication(&mut self) -> Publication {
        loop {
            if let BrokerEvent::Publication(push) = self.event().await {
                return push.publication().clone();
            }
        }
    }

    /// Every publication until a probe comes back: proof that nothing else was under way.
    pub async fn until_probe(&mut self, token: u64) -> Vec<Publication> {
        self.broker.probe(token).await.expect("a probe is sent");
        let mut all = Vec::new();
        loop {
            match self.event().await {
                BrokerEvent::Publication(push) => all.push(push.publication().clone()),
                BrokerEvent::Probe(t) if t == token => return all,
                _ => {}
            }
        }
    }
}

/// How many messages rooms in the namespace `kept` keep.
pub const KEPT: usize = 50;

/// The node number `id` of a cluster under test; numbers begin at 1.
pub fn node(id: u64) -> NodeInfo {
    NodeInfo { id: NodeId(id), name: format!("node {id}: größe") }
}

/// What clusters under test keep: the last [`KEPT`] messages of rooms in the namespace `kept`.
pub fn table() -> SharedRetention {
    let kept = Retention { messages: KEPT, ttl: Duration::from_secs(60) };
    let namespaces = [("kept".to_owned(), Some(kept))].into();
    Arc::new(ArcSwap::from_pointee(RetentionTable { default: None, namespaces }))
}

fn room(name: &str) -> Room {
    Room::parse(name).expect("a valid name")
}

fn plain(name: &str, payload: impl Into<Bytes>) -> Publication {
    Publication::plain(room(name), Payload::untyped(payload.into()))
}

/// Runs every check, each on a fresh cluster from `cluster`.
pub async fn suite<F, C>(mut cluster: F)
where
    F: FnMut() -> C,
    C: Future<Output = Vec<Node>>,
{
    everything_survives_the_journey(cluster().await).await;
    only_wanted_rooms_come(cluster().await).await;
    one_order_for_all(cluster().await).await;
    many_rooms_at_once(cluster().await).await;
    the_last_wish_counts(cluster().await).await;
    probes_come_back_to_their_node(cluster().await).await;
    everyone_hears_what_is_wished(cluster().await).await;
    everyone_sees_all_nodes(cluster().await).await;
    everyone_hears_what_nodes_report(cluster().await).await;
    history::suite(&mut cluster).await;
    presence::suite(&mut cluster).await;
}

async fn everything_survives_the_journey(mut nodes: Vec<Node>) {
    let everything: Vec<u8> = (0..=255).collect();
    let payloads = [
        Payload::untyped(""),
        Payload::untyped(everything),
        Payload::untyped(&b"\0\r\n$5\r\n*1\r\n"[..]),
        Payload::untyped(vec![b'x'; 1 << 20]),
        Payload::new(PayloadKind::Json, "{\"a\": 1}"),
        Payload::new(PayloadKind::Text, "größe"),
        Payload::new(PayloadKind::Bytes, "text, yet bytes"),
    ];
    for node in &mut nodes {
        node.subscribe(&[room("journey:1")]).await;
    }
    for payload in payloads {
        let sent = Publication {
            event: EventName::parse("order paid").expect("valid"),
            user: Some("jürgen".into()),
            except: Some(ConnectionId { node: NodeId(u64::MAX), serial: 3 }),
            published_us: Some(1_732_190_000_000_123),
            ..Publication::plain(room("journey:1"), payload)
        };
        // Followed on its way: as far as there is room for it beside the names.
        let trace = Some(TraceContext { trace_id: [7; 16], span_id: [8; 8] });
        let traced = Publication { trace, user: None, ..sent.clone() };
        for sent in [sent, traced] {
            nodes[0].broker.publish(sent.clone(), None).await.expect("published");
            for node in &mut nodes {
                assert_eq!(node.publication().await, sent);
            }
        }
    }
}

async fn only_wanted_rooms_come(mut nodes: Vec<Node>) {
    let last = nodes.len() - 1;
    nodes[last].subscribe(&[room("wanted")]).await;
    // A name inside of another, and one that differs by its namespace only.
    for name in ["want", "wanted", "wanted:1", "a:wanted"] {
        nodes[0].broker.publish(plain(name, name), None).await.expect("published");
    }
    let got = nodes[last].until_probe(1).await;
    let wanted: Vec<_> = got.iter().filter(|p| p.room == room("wanted")).collect();
    assert_eq!(wanted, [&plain("wanted", "wanted")]);
}

async fn one_order_for_all(mut nodes: Vec<Node>) {
    const EACH: usize = 200;
    for node in &mut nodes {
        node.subscribe(&[room("order")]).await;
    }
    let publishers: Vec<_> = (0..4)
        .map(|p| {
            let broker = Arc::clone(&nodes[p % nodes.len()].broker);
            tokio::spawn(async move {
                for i in 0..EACH {
                    broker.publish(plain("order", format!("{p} {i}")), None).await.expect("published");
                }
            })
        })
        .collect();
    let mut orders = Vec::new();
    for node in &mut nodes {
        let mut order = Vec::new();
        while order.len() < 4 * EACH {
            order.push(node.publication().await.payload.bytes);
        }
        orders.push(order);
    }
    for publisher in publishers {
        publisher.await.expect("no publisher fails");
    }
    for order in &orders {
        assert_eq!(order, &orders[0], "nodes disagree on the order");
        for p in 0..4 {
            let own: Vec<_> = order.iter().filter(|b| b.starts_with(format!("{p} ").as_bytes())).collect();
            assert_eq!(own.len(), EACH);
            assert!(own.iter().enumerate().all(|(i, b)| ***b == *format!("{p} {i}").as_bytes()));
        }
    }
}

async fn many_rooms_at_once(mut nodes: Vec<Node>) {
    let rooms: Vec<_> = (0..5000).map(|i| room(&format!("many:{i}"))).collect();
    let last = nodes.len() - 1;
    nodes[last].subscribe(&rooms).await;
    for i in [0, 1234, 4999] {
        let name = format!("many:{i}");
        nodes[0].broker.publish(plain(&name, "x"), None).await.expect("published");
        assert_eq!(nodes[last].publication().await.room, room(&name));
    }
}

async fn the_last_wish_counts(mut nodes: Vec<Node>) {
    let rooms = [room("wish")];
    let last = nodes.len() - 1;
    for _ in 0..20 {
        nodes[last].broker.subscribe(&rooms);
        nodes[last].broker.unsubscribe(&rooms);
    }
    nodes[last].subscribe(&rooms).await;
    nodes[0].broker.publish(plain("wish", "here"), None).await.expect("published");
    assert_eq!(nodes[last].publication().await, plain("wish", "here"));
}

async fn probes_come_back_to_their_node(mut nodes: Vec<Node>) {
    for (i, node) in nodes.iter_mut().enumerate() {
        let token = 100 + i as u64;
        node.broker.probe(token).await.expect("a probe is sent");
        // Probes below 100 may be on their way from before; those of other nodes may not.
        let mut got = 0;
        while got != token {
            if let BrokerEvent::Probe(returned) = node.event().await {
                assert!(returned == token || returned < 100, "got the probe {returned} of another node");
                got = returned;
            }
        }
    }
}

async fn everyone_hears_what_is_wished(mut nodes: Vec<Node>) {
    let last = nodes.len() - 1;
    for node in &mut nodes {
        // The link is up when a room is confirmed.
        node.subscribe(&[room("control")]).await;
    }
    let wishes = [
        Control::Disconnect { user: "jürgen \"x\"".into() },
        Control::Unsubscribe { user: "bob".into(), room: room("chat:1") },
    ];
    for wish in &wishes {
        nodes[last].broker.control(wish.clone()).await.expect("sent");
    }
    for node in &mut nodes {
        for wish in &wishes {
            let heard = loop {
                if let BrokerEvent::Control(heard) = node.event().await {
                    break heard;
                }
            };
            assert_eq!(heard, *wish);
        }
    }
}

async fn everyone_sees_all_nodes(nodes: Vec<Node>) {
    let expected: Vec<_> = (1..=nodes.len() as u64).map(node).collect();
    for node in &nodes {
        let mut seen = node.broker.nodes().await.expect("read");
        seen.sort_by_key(|node| node.id);
        assert_eq!(seen, expected);
    }
}

async fn everyone_hears_what_nodes_report(nodes: Vec<Node>) {
    let report = |n: usize, draining| NodeReport {
        id: NodeId(n as u64 + 1),
        connections: n as u64 * 1000,
        draining,
        version: format!("1.2.{n}-rc.1+build"),
    };
    for (n, node) in nodes.iter().enumerate() {
        node.broker.report(report(n, false)).await.expect("told");
    }
    // What was said last counts.
    let last = nodes.len() - 1;
    let expected: Vec<_> = (0..nodes.len()).map(|n| report(n, n == last)).collect();
    nodes[last].broker.report(expected[last].clone()).await.expect("told");
    for (node, own) in nodes.iter().zip(&expected) {
        let mut heard = node.broker.report(own.clone()).await.expect("told");
        heard.sort_by_key(|report| report.id);
        assert_eq!(heard, expected);
    }
}
