//! HTTP/2 without TLS, directly at a node: curl for streams and POST, Node's `http2` for WebSockets.

use serde_json::json;
use xtask::Node;

use crate::cluster::Cluster;
use crate::content::Content;
use crate::curl::{Answer, CurlStream, HTTP2, Post};
use crate::sockets::{Closed, Library, Sockets};

#[test]
fn curl_reads_and_posts_over_http2() {
    let cluster = Cluster::start();
    let [here, there] = [&cluster.nodes[0], &cluster.nodes[1]].map(Node::port);
    let mut stream = CurlStream::open(here, "/sse?room=a", &[HTTP2]);
    assert_eq!(stream.status_line, "HTTP/2 200");
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    assert_eq!(stream.headers.get("connection"), None, "RFC 9113, section 8.2.2 forbids it");

    for (port, body) in [(here, "from here"), (there, "from there"), (here, "")] {
        let answer = post(port, body.as_bytes());
        assert_eq!((answer.status, &*answer.version, &*answer.body), (202, "2", "{\"id\":null}"));
        assert_eq!(stream.message(), Content::text(body));
    }
    let longest = "x".repeat(64 * 1024);
    assert_eq!(post(here, longest.as_bytes()).status, 202);
    assert_eq!(stream.message(), Content::text(&longest));
    for excess in [1, 100_000, 900_000] {
        let answer = post(here, (longest.clone() + &"x".repeat(excess)).as_bytes());
        assert_eq!((answer.status, &*answer.content_type), (413, "application/problem+json"));
    }
}

fn post(port: u16, body: &[u8]) -> Answer {
    Post::start(port, "a/messages", &[HTTP2, "-H", "Content-Type: text/plain"], body).wait()
}

#[test]
fn websockets_share_one_http2_connection() {
    let cluster = Cluster::start();
    let [here, there] = [&cluster.nodes[0], &cluster.nodes[1]].map(Node::port);
    let mut streams = Sockets::http2(here, "/ws?room=a", 5);
    let mut others = Sockets::http2(here, "/ws?room=b", 1);
    let mut far = Sockets::raw(Library::Npm, there, "/ws?room=a", 1);

    // Longer than HTTP/2's windows are at first, so that they have to be opened again.
    let long: Vec<u8> = (0..64 * 1024).map(|i| (i % 251) as u8).collect();
    let contents = [
        Content::text("größe"),
        Content::text(""),
        Content::bytes(b"\x00\xff".as_slice()),
        Content::text("x".repeat(300)),
        Content::bytes(long),
    ];
    for content in &contents {
        // From a stream to the other streams of the connection and to another node.
        streams.send(2, content);
        for n in [0, 1, 3, 4] {
            assert_eq!(streams.message(n), *content);
        }
        assert_eq!(far.message(0), *content);
        // And back.
        far.send(0, content);
        (0..5).for_each(|n| assert_eq!(streams.message(n), *content));
    }
    cluster.redis_cli("b", b"for b");
    assert_eq!(others.message(0), Content::text("for b"));

    // The end of one stream is not the end of the others.
    streams.send(3, &Content::bytes(vec![0; 64 * 1024 + 1]));
    let Closed { code, .. } = streams.closed(3);
    assert_eq!(code, 1009);
    far.send(0, &Content::text(json!({ "still": "there" }).to_string()));
    for n in [0, 1, 2, 4] {
        assert_eq!(streams.message(n), Content::text("{\"still\":\"there\"}"));
    }
    [streams, others, far].into_iter().for_each(Sockets::finish);
}
