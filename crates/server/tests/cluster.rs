//! Three nodes, a real Redis, a real load balancer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use roomcast_bench::{SseClient, WsClient, request};
use xtask::{Balancer, Kind, Node, Redis};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

fn three_nodes(redis: &Redis) -> Vec<Node> {
    (0..3).map(|_| Node::start(BINARY, &["--redis", &redis.url()]).unwrap()).collect()
}

fn ports(nodes: &[Node]) -> Vec<(u16, u16)> {
    nodes.iter().map(|node| (node.port(), node.admin_port())).collect()
}

#[test]
fn everybody_in_the_room_gets_it_through_either_balancer() {
    let redis = Redis::start().unwrap();
    let nodes = three_nodes(&redis);
    for kind in [Kind::Haproxy, Kind::Nginx] {
        let balancer = Balancer::start(kind, &ports(&nodes)).unwrap();
        let port = balancer.port();
        let mut raw: Vec<_> = (0..6).map(|_| WsClient::raw(port, "/ws?room=a").unwrap()).collect();
        let mut json: Vec<_> = (0..3).map(|_| WsClient::json(port, "/ws?room=a").unwrap()).collect();
        for client in &mut json {
            assert!(client.message().unwrap().text().contains("subscribed"));
        }
        let mut sse: Vec<_> = (0..6).map(|_| SseClient::open(port, "/sse?room=a").unwrap()).collect();
        redis.publish("room:b", b"for another room").unwrap();
        redis.publish("room:a", b"{\"n\":1}").unwrap();
        let answer =
            request(port, "POST", "/rooms/a/messages", &[("Content-Type", "text/plain")], b"two").unwrap();
        assert_eq!((answer.status, &*answer.text()), (202, "{\"id\":null}"));
        for client in &mut raw {
            assert_eq!(client.message().unwrap().text(), "{\"n\":1}");
            assert_eq!(client.message().unwrap().text(), "two");
        }
        for client in &mut json {
            assert!(client.message().unwrap().text().contains("\"data\":{\"n\":1}"));
            assert!(client.message().unwrap().text().contains("\"data\":\"two\""));
        }
        for client in &mut sse {
            assert_eq!(client.event().unwrap().data, "{\"n\":1}");
            assert_eq!(client.event().unwrap().data, "two");
        }
    }
}
