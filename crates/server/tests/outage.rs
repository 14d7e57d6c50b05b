//! Redis goes away and comes back, in every way it can: clients stay, publishers are told, health
//! tells the truth, and afterwards messages flow without anybody's help.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use roomcast_bench::{SseClient, WsClient, request};
use xtask::{Node, Redis, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

struct Scene {
    redis: Redis,
    nodes: Vec<Node>,
    members: Vec<WsClient>,
    streams: Vec<SseClient>,
    sent: u32,
}

impl Scene {
    fn new() -> Self {
        let redis = Redis::start().unwrap();
        let arguments = ["--redis", &redis.url(), "--set", "broker.timeout=2s"];
        let nodes: Vec<_> = (0..2).map(|_| Node::start(BINARY, &arguments).unwrap()).collect();
        let members = nodes.iter().map(|node| WsClient::raw(node.port(), "/ws?room=a").unwrap()).collect();
        let streams =
            nodes.iter().map(|node| SseClient::open(node.port(), "/sse?room=a&room=b").unwrap()).collect();
        Self { redis, nodes, members, streams, sent: 0 }
    }

    fn all_ready(&self) -> bool {
        self.nodes.iter().all(Node::is_ready)
    }

    fn none_ready(&self) -> bool {
        !self.nodes.iter().any(Node::is_ready)
    }

    /// Both connections of every node stand again. Health alone lags behind a blip by a few seconds.
    fn wait_until_reconnected(&self) {
        wait_until("every node hears the room and publishes", || {
            let heard = self.redis.command(&[b"PUBSUB", b"NUMSUB", b"room:a", b"{room:a}:m"]).unwrap();
            let publishes = |node: &Node| {
                request(node.port(), "POST", "/rooms/elsewhere/messages", &[], b"x").unwrap().status == 202
            };
            heard.matches(":2\r\n").count() == 2 && self.nodes.iter().all(publishes)
        });
    }

    /// A message of a backend and one of a client reach everyone, who have been connected all along.
    fn messages_flow(&mut self) {
        wait_until("all nodes are ready", || self.all_ready());
        self.sent += 1;
        let backend = format!("backend {}", self.sent);
        self.redis.publish("room:a", backend.as_bytes()).unwrap();
        let client = format!("client {}", self.sent);
        let port = self.nodes[0].port();
        let answer = request(port, "POST", "/rooms/a/messages", &[], client.as_bytes()).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        for member in &mut self.members {
            assert_eq!(member.message().unwrap().text(), backend);
            assert_eq!(member.message().unwrap().text(), client);
        }
        for stream in &mut self.streams {
            assert_eq!(stream.event().unwrap().data, backend);
            assert_eq!(stream.event().unwrap().data, client);
        }
    }

    fn publishing_is_unavailable(&self) {
        for node in &self.nodes {
            let answer = request(node.port(), "POST", "/rooms/a/messages", &[], b"lost").unwrap();
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(answer.header("retry-after").is_some());
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        }
    }
}

#[test]
fn killed_and_restarted() {
    let mut scene = Scene::new();
    scene.messages_flow();
    let mut json = WsClient::json(scene.nodes[0].port(), "/ws").unwrap();
    scene.redis.stop();
    wait_until("no node is ready", || scene.none_ready());
    scene.publishing_is_unavailable();

    json.send_text(r#"{"type":"publish","room":"a","data":1,"ref":1}"#).unwrap();
    let answer = json.message().unwrap().text();
    assert!(answer.contains(r#""type":"error","ref":1,"code":"unavailable""#), "{answer}");
    json.send_text(r#"{"type":"subscribe","room":"new","ref":2}"#).unwrap();
    let answer = json.message().unwrap().text();
    assert!(answer.contains(r#""ref":2,"code":"unavailable""#), "{answer}");
    let refused = SseClient::connect(scene.nodes[0].port(), "/sse?room=new", &[]).unwrap().unwrap_err();
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));

    scene.redis.restart().unwrap();
    scene.messages_flow();
    json.send_text(r#"{"type":"subscribe","room":"a","ref":3}"#).unwrap();
    let answer = json.message().unwrap().text();
    assert!(answer.contains(r#""type":"subscribed""#), "{answer}");
    for node in &scene.nodes {
        assert!(node.metric("roomcast_broker_reconnects_total", "").unwrap() >= 1.0);
        assert_eq!(node.metric("roomcast_broker_up", "").unwrap(), 1.0);
    }
    scene.redis.stop();
    scene.redis.restart().unwrap();
    scene.wait_until_reconnected();
    scene.messages_flow();
}

#[test]
fn subscription_links_killed() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.redis.command(&[b"CLIENT", b"KILL", b"TYPE", b"pubsub"]).unwrap();
        scene.wait_until_reconnected();
        scene.messages_flow();
    }
}

#[test]
fn paused() {
    let mut scene = Scene::new();
    scene.redis.command(&[b"CLIENT", b"PAUSE", b"6000", b"ALL"]).unwrap();
    wait_until("no node is ready", || scene.none_ready());
    scene.publishing_is_unavailable();
    scene.messages_flow();
}

#[test]
fn asleep() {
    let mut scene = Scene::new();
    let port = scene.redis.port().to_string();
    let mut sleep = Command::new("redis-cli").args(["-p", &port, "DEBUG", "SLEEP", "6"]).spawn().unwrap();
    wait_until("no node is ready", || scene.none_ready());
    scene.publishing_is_unavailable();
    sleep.wait().unwrap();
    scene.messages_flow();
}
