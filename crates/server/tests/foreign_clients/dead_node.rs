//! A node that takes a request and dies before it answers. An EventSource gives up for good when it is answered with
//! anything but 200 (HTML standard, 9.2.3), so a balancer has to ask another node; but it must not publish twice.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use roomcast_bench::SseClient;
use xtask::{Balancer, Kind, wait_until};

use crate::cluster::{BALANCERS, Cluster};
use crate::curl::{CurlStream, try_post};

/// Enough for round robin to meet every node several times.
const REQUESTS: usize = 9;

/// Reads requests and answers none; how many it has read.
fn dying_node() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let read = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&read);
    // Ends with the test program.
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            count.fetch_add(usize::from(reads_a_request(&connection)), Ordering::Relaxed);
        }
    });
    (port, read)
}

fn reads_a_request(connection: &TcpStream) -> bool {
    let mut lines = BufReader::new(connection).lines().map_while(Result::ok);
    lines.any(|line| line.is_empty())
}

#[test]
fn a_node_that_dies_before_it_answers_costs_a_reader_nothing() {
    for kind in BALANCERS {
        let cluster = Cluster::start();
        let mut nodes: Vec<_> = cluster.nodes.iter().map(|node| (node.port(), node.admin_port())).collect();
        let (dying, has_read) = dying_node();
        // Its health is that of the node in whose place it stands: nobody knows yet that it dies.
        nodes[0].0 = dying;
        let balancer = Balancer::start(kind, &nodes).unwrap();
        if kind == Kind::Envoy {
            // It asks nobody of whom it has not heard yet.
            wait_until("the other nodes are used", || {
                let open = |_| SseClient::open(balancer.port(), "/sse?room=first");
                let _streams: Vec<_> = (0..REQUESTS).map(open).collect();
                cluster.connections()[1..].iter().all(|of_node| *of_node > 0.0)
            });
        }

        let streams: Vec<_> =
            (0..REQUESTS).map(|_| CurlStream::open(balancer.port(), "/sse?room=a", &[])).collect();
        assert!(streams.iter().all(|stream| stream.status_line.ends_with("200 OK")), "{kind:?}");
        let by_readers = has_read.load(Ordering::Relaxed);
        assert!(by_readers > 0, "{kind:?} asked the dying node nothing");

        let answers: Vec<_> = (0..REQUESTS)
            .map(|n| try_post(balancer.port(), "a/messages", "text/plain", format!("{n}").as_bytes()).status)
            .collect();
        let by_publishers = has_read.load(Ordering::Relaxed) - by_readers;
        let refused = answers.iter().filter(|status| matches!(status, 502 | 503)).count();
        assert_eq!(refused, by_publishers, "{kind:?}: a message is not sent twice: {answers:?}");
        assert_eq!(
            answers.iter().filter(|status| **status == 202).count(),
            REQUESTS - refused,
            "{answers:?}"
        );
    }
}
