//! Clients that others wrote come back by themselves after their node was killed, through a load balancer, and nothing
//! is lost or doubled.

use roomcast_bench::request;
use xtask::Kind;

use crate::cluster::Cluster;
use crate::content::Content;
use crate::curl::CurlStream;
use crate::sockets::Sockets;

const STREAMS: usize = 6;
const MESSAGES_A_ROUND: usize = 30;

/// Publishes through the balancer until a node has taken it; the key keeps a repetition from being a second message.
fn publish(port: u16, text: &str) -> String {
    loop {
        let key = [("Idempotency-Key", text)];
        let Ok(answer) = request(port, "POST", "/rooms/a/messages", &key, text.as_bytes()) else { continue };
        if answer.status == 202 {
            let id = answer.text();
            return id.trim_start_matches("{\"id\":\"").trim_end_matches("\"}").to_owned();
        }
    }
}

#[test]
fn event_sources_lose_nothing_when_their_nodes_are_killed() {
    let mut cluster = Cluster::start_with("namespaces.default.history=1000");
    let balancer = cluster.balancer(Kind::Haproxy);
    let port = balancer.port();
    let mut streams = Sockets::sse(port, "/sse?room=a", STREAMS, &[]);
    let mut sent: Vec<(String, String)> = Vec::new();
    for node in 0..cluster.nodes.len() {
        for i in 0..MESSAGES_A_ROUND {
            if i == MESSAGES_A_ROUND / 2 {
                cluster.replace(node);
            }
            let text = format!("round {node} message {i}");
            let id = publish(port, &text);
            sent.push((text, id));
        }
    }
    for stream in 0..STREAMS {
        let mut received = Vec::new();
        while received.len() < sent.len() {
            let line = streams.next(stream);
            // Each time it comes back it is connected anew.
            if line["what"] == "message" {
                let id = line["id"].as_str().unwrap().to_owned();
                assert_eq!(
                    Content::of_line(&line),
                    Content::text(&sent[received.len()].0),
                    "stream {stream}"
                );
                received.push(id);
            }
        }
        assert!(received.iter().zip(&sent).all(|(id, (_, sent_id))| id == sent_id));
    }
    streams.finish();

    // curl, told where it had stopped: everything after the first message, from whichever node it reaches.
    let stopped = format!("Last-Event-ID: {}", sent[0].1);
    let mut curl = CurlStream::open(port, "/sse?room=a", &["-H", &stopped]);
    for (text, _) in &sent[1..] {
        assert_eq!(&curl.event().1, text);
    }
}
