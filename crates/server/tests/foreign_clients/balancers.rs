//! What a load balancer must not spoil: nothing is held back, idle streams live on, and it does not matter on which node a client is.

use std::io::{BufRead, BufReader, Write as _};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use roomcast_bench::http::connect;
use roomcast_bench::{SseClient, WsClient, request};
use serde_json::Value;
use xtask::balancer::configuration;
use xtask::process::need_descriptors;
use xtask::{Balancer, Kind, Node, free_port, wait_until};

use crate::cluster::Cluster;
use crate::content::Content;
use crate::curl::{CurlStream, HTTP2, Post, post};
use crate::sockets::Sockets;

/// Those that speak HTTP/2 with clients also without TLS. nginx of this age does so only on a port of its own.
const HTTP2_IN_FRONT: [Kind; 3] = [Kind::Haproxy, Kind::Envoy, Kind::Caddy];
/// Those that know the extended CONNECT (RFC 8441). nginx does not, nor does Caddy 2.6.
const WEBSOCKETS_OVER_HTTP2: [Kind; 2] = [Kind::Haproxy, Kind::Envoy];
/// Connections that are held at once.
const HELD: usize = 1000;
/// Somebody who waits for more of an answer waits for 200 ms, as haproxy without `option http-no-delay`, or for ever. The
/// fastest of many is faster than that on the slowest of machines.
const AT_ONCE: Duration = Duration::from_millis(150);
const MESSAGES: usize = 20;
/// How long heartbeats may take. Only bounds a failure.
const LIMIT: Duration = Duration::from_secs(60);

fn ports(cluster: &Cluster) -> Vec<(u16, u16)> {
    cluster.nodes.iter().map(|node| (node.port(), node.admin_port())).collect()
}

/// Who has gone must not stay on a node because the balancer keeps its connection.
fn wait_for_nobody(cluster: &Cluster, kind: Kind) {
    let what = format!("all have left from behind {}", kind.name());
    wait_until(&what, || cluster.connections().iter().sum::<f64>() == 0.0);
}

/// The fastest of the ways from a publisher, who waits for each message to arrive, to a reader.
fn fastest(cluster: &Cluster, mut read: impl FnMut() -> String) -> Duration {
    let way = |n: usize| {
        let begin = Instant::now();
        cluster.redis.publish("room:a", format!("{n}").as_bytes()).unwrap();
        assert_eq!(read(), format!("{n}"));
        begin.elapsed()
    };
    (0..MESSAGES).map(way).min().unwrap()
}

#[test]
fn messages_are_not_held_back() {
    let cluster = Cluster::start();
    for kind in Kind::ALL {
        let balancer = cluster.balancer(kind);
        let mut stream = SseClient::open(balancer.port(), "/sse?room=a").unwrap();
        let by_stream = fastest(&cluster, || stream.event().unwrap().data);
        let mut socket = WsClient::raw(balancer.port(), "/ws?room=a").unwrap();
        let by_socket = fastest(&cluster, || socket.message().unwrap().text());
        assert!(by_stream < AT_ONCE && by_socket < AT_ONCE, "{kind:?}: {by_stream:?}, {by_socket:?}");
    }
}

#[test]
fn polls_go_on_wherever_the_last_one_was() {
    let cluster = Cluster::start_with("namespaces.default.history=100");
    for kind in Kind::ALL {
        let balancer = cluster.balancer(kind);
        let poll = |target: &str| -> Value {
            let answer = request(balancer.port(), "GET", target, &[], b"").unwrap();
            assert_eq!(answer.status, 200, "{kind:?}: {}", answer.text());
            serde_json::from_slice(&answer.body).unwrap()
        };
        let mut cursor = poll("/poll?room=a&wait=0")["cursor"].as_str().unwrap().to_owned();
        // Round robin: each poll is answered by the next node.
        for n in 0..6 {
            let waiting = |port| {
                let mut stream = connect(port).unwrap();
                let target = format!("/poll?room=a&wait=25&after={cursor}");
                write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
                BufReader::new(stream)
            };
            let mut answer = waiting(balancer.port());
            cluster
                .redis
                .command(&[b"FCALL", b"roomcast_publish", b"1", b"room:a", format!("{n}").as_bytes()])
                .unwrap();
            let answer: Value =
                serde_json::from_slice(&roomcast_bench::http::read_response(&mut answer).unwrap().body)
                    .unwrap();
            assert_eq!(answer["messages"][0]["data"], n, "{kind:?}: {answer}");
            assert_eq!(answer["messages"].as_array().unwrap().len(), 1, "{kind:?}: {answer}");
            answer["cursor"].as_str().unwrap().clone_into(&mut cursor);
        }
    }
}

#[test]
fn a_post_reaches_a_stream_of_another_node() {
    let cluster = Cluster::start();
    let by_http = |node: &Node| node.metric("roomcast_messages_received_total", "\"http\"").unwrap();
    let streams_of = |node: &Node| node.metric("roomcast_connections", "\"sse\"").unwrap();
    for kind in Kind::ALL {
        let balancer = cluster.balancer(kind);
        let mut stream = CurlStream::open(balancer.port(), "/sse?room=a", &[]);
        let elsewhere: Vec<_> = cluster.nodes.iter().filter(|node| streams_of(node) == 0.0).collect();
        assert_eq!(elsewhere.len(), 2, "{kind:?}");
        let before: f64 = elsewhere.iter().map(|node| by_http(node)).sum();
        for n in 0..6 {
            post(balancer.port(), "a/messages", "text/plain", format!("{n}").as_bytes());
            assert_eq!(stream.message(), Content::text(format!("{n}")), "{kind:?}");
        }
        let after: f64 = elsewhere.iter().map(|node| by_http(node)).sum();
        assert!(after > before, "{kind:?} has given all of them to the stream's node");
        drop(stream);
        wait_for_nobody(&cluster, kind);
    }
}

#[test]
fn http2_goes_through_where_the_balancer_can() {
    let cluster = Cluster::start();
    for kind in HTTP2_IN_FRONT {
        let balancer = cluster.balancer(kind);
        let port = balancer.port();
        let mut stream = CurlStream::open(port, "/sse?room=a", &[HTTP2]);
        assert_eq!(stream.status_line, "HTTP/2 200", "{kind:?}");
        let answer =
            Post::start(port, "a/messages", &[HTTP2, "-H", "Content-Type: text/plain"], b"one").wait();
        assert_eq!((answer.status, &*answer.version), (202, "2"), "{kind:?}");
        assert_eq!(stream.message(), Content::text("one"), "{kind:?}");
        if !WEBSOCKETS_OVER_HTTP2.contains(&kind) {
            continue;
        }
        let mut sockets = Sockets::http2(port, "/ws?room=a", 3);
        sockets.send(0, &Content::text("two"));
        for n in [1, 2] {
            assert_eq!(sockets.message(n), Content::text("two"), "{kind:?}");
        }
        assert_eq!(stream.message(), Content::text("two"), "{kind:?}");
        sockets.finish();
    }
}

#[test]
fn a_thousand_connections_are_held() {
    need_descriptors(4 * HELD as u64);
    let cluster = Cluster::start();
    for kind in Kind::ALL {
        let balancer = cluster.balancer(kind);
        let port = balancer.port();
        let mut streams: Vec<_> =
            (0..HELD / 2).map(|_| SseClient::open(port, "/sse?room=a").unwrap()).collect();
        let mut sockets: Vec<_> = (0..HELD / 2).map(|_| WsClient::raw(port, "/ws?room=a").unwrap()).collect();
        assert_eq!(cluster.connections().iter().sum::<f64>(), HELD as f64, "{kind:?}");
        assert!(cluster.connections().iter().all(|of_node| *of_node > 0.0), "{kind:?}");
        cluster.redis.publish("room:a", b"to all").unwrap();
        for stream in &mut streams {
            assert_eq!(stream.event().unwrap().data, "to all", "{kind:?}");
        }
        for socket in &mut sockets {
            assert_eq!(socket.message().unwrap().text(), "to all", "{kind:?}");
        }
        drop((streams, sockets));
        wait_for_nobody(&cluster, kind);
    }
}

/// A balancer whose limits on idleness, 75 s for heartbeats of 30 s, are shorter.
fn with_idle_limit(kind: Kind, cluster: &Cluster, limit: &str) -> Balancer {
    let port = free_port();
    let text = configuration(kind, port, &ports(cluster)).unwrap();
    assert!(text.contains("75s"), "{kind:?} has the limit");
    Balancer::start_with(kind, port, &text.replace("75s", limit)).unwrap()
}

/// Lines of an event stream, as they come over the wire.
fn lines_of_stream(port: u16) -> impl Iterator<Item = std::io::Result<String>> {
    let mut stream = connect(port).unwrap();
    write!(stream, "GET /sse?room=a HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    BufReader::new(stream).lines()
}

/// Everything is fifteen times faster than by default. Six heartbeats take longer than a balancer waits on an idle stream.
#[test]
fn idle_streams_live_on_because_of_heartbeats() {
    const HEARTBEATS: usize = 6;
    let cluster = Cluster::start_with("server.heartbeat=2s");
    let balancers = Kind::ALL.map(|kind| (kind, with_idle_limit(kind, &cluster, "5s")));
    let clients = balancers.each_ref().map(|(kind, balancer)| {
        let port = balancer.port();
        (*kind, WsClient::raw(port, "/ws?room=a").unwrap(), lines_of_stream(port))
    });
    let (sender, idle_long_enough) = sync_channel(2 * Kind::ALL.len());
    let mut readers = Vec::new();
    for (kind, mut socket, lines) in clients {
        let done = sender.clone();
        readers.push(std::thread::spawn(move || {
            for _ in 0..HEARTBEATS {
                let ping =
                    socket.frame().unwrap_or_else(|error| panic!("{kind:?} has cut the socket: {error}"));
                assert_eq!(ping.first, 0x89, "{kind:?}");
                socket.send_frame(0x8a, &ping.payload).unwrap();
            }
            done.send(()).unwrap();
            assert_eq!(socket.message().unwrap().text(), "still there", "{kind:?}");
        }));
        let done = sender.clone();
        readers.push(std::thread::spawn(move || {
            let mut lines =
                lines.map(|line| line.unwrap_or_else(|error| panic!("{kind:?} has cut the stream: {error}")));
            let pings = lines.by_ref().filter(|line| line == ": ping").take(HEARTBEATS).count();
            assert_eq!(pings, HEARTBEATS, "{kind:?} has ended the stream");
            done.send(()).unwrap();
            assert!(lines.any(|line| line == "data: still there"), "{kind:?}");
        }));
    }
    drop(sender);
    // Ends early where a reader has failed, which its thread then says.
    let idle = (0..readers.len()).take_while(|_| idle_long_enough.recv_timeout(LIMIT).is_ok()).count();
    cluster.redis.publish("room:a", b"still there").unwrap();
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert_eq!(idle, 2 * Kind::ALL.len());
}

/// The limits are those that matter: without heartbeats in time a balancer ends what is idle.
#[test]
fn idle_streams_are_cut_without_heartbeats() {
    let cluster = Cluster::start();
    for kind in Kind::ALL {
        let balancer = with_idle_limit(kind, &cluster, "1s");
        let rest: Vec<_> = lines_of_stream(balancer.port()).map_while(Result::ok).collect();
        assert!(rest.iter().any(|line| line == "event: connected"), "{kind:?}: {rest:?}");
        assert!(!rest.iter().any(|line| line == ": ping"), "{kind:?}: {rest:?}");
    }
}
