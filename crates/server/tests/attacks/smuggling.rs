//! HTTP/1.1 requests that two servers could understand in two ways (RFC 9112, sections 2.2, 5.1, 6.3 and 11.2). Each is
//! followed by a request that an attacker hides: it must never be carried out, neither by the node alone nor behind a
//! balancer.

use roomcast_bench::{WsClient, request};
use xtask::{Balancer, Kind, Node, free_port};

use crate::scene::Scene;
use crate::wire::{read_to_end, say, statuses};

/// A request that publishes, if somebody takes it for one.
const HIDDEN: &str = "POST /rooms/hidden/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nhidden";

/// The head of a request, with these lines in it.
fn post(lines: &str) -> String {
    format!("POST /rooms/open/messages HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

/// Name and bytes of requests that are refused as a whole.
fn refused() -> Vec<(&'static str, String)> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    vec![
        ("two lengths", post("Content-Length: 0\r\nContent-Length: 5\r\n")),
        ("a list of lengths", post("Content-Length: 0, 5\r\n")),
        ("a negative length", post("Content-Length: -1\r\n")),
        ("a length with a sign", post("Content-Length: +5\r\n")),
        ("a length in hexadecimal", post("Content-Length: 0x5\r\n")),
        ("a length beyond 64 bits", post("Content-Length: 99999999999999999999\r\n")),
        ("an empty length", post("Content-Length: \r\n")),
        ("a coding that is not the last", post("Transfer-Encoding: chunked, identity\r\n")),
        ("a coding that is almost chunked", post("Transfer-Encoding: xchunked\r\n")),
        ("a coding in quotes", post("Transfer-Encoding: \"chunked\"\r\n")),
        ("a coding over HTTP/1.0", post(chunked).replace("HTTP/1.1", "HTTP/1.0")),
        ("a space before the colon", post("Content-Length : 5\r\n")),
        ("a space before the colon of a coding", post("Transfer-Encoding : chunked\r\n")),
        ("a folded line", post("X: y\r\n Content-Length: 5\r\n")),
        ("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n")),
        ("a NUL in a name", post("Content\0Length: 5\r\n")),
        ("a bare CR", post("X: y\rContent-Length: 5\r\n")),
        ("a chunk size that overflows", post(chunked) + "fffffffffffffffff\r\nx"),
        ("a chunk size with a sign", post(chunked) + "-1\r\nx\r\n0\r\n\r\n"),
        ("a chunk size in the wrong base", post(chunked) + "0x1\r\nx\r\n0\r\n\r\n"),
        ("a chunk that ends with LF", post(chunked) + "1\nx\r\n0\r\n\r\n"),
        ("a chunk that is longer than it says", post(chunked) + "1\r\nxyz\r\n0\r\n\r\n"),
        ("a length for a WebSocket", upgrade("Content-Length: 5\r\n")),
        ("a coding for a WebSocket", upgrade(chunked)),
    ]
}

/// Requests that are carried out once, after which nothing more is read.
fn last_ones() -> Vec<(&'static str, String)> {
    let coded = "Transfer-Encoding: chunked\r\n";
    let body = "1\r\nx\r\n0\r\n\r\n";
    vec![
        ("a length and a coding", post(&format!("Content-Length: 4\r\n{coded}")) + body),
        ("a coding and a length", post(&format!("{coded}Content-Length: 4\r\n")) + body),
        ("a coding and a wrong length", post(&format!("{coded}Content-Length: 99999\r\n")) + body),
        ("a coding and no length", post(&format!("{coded}Content-Length: zero\r\n")) + body),
        ("a coding twice", post(&format!("{coded}{coded}")) + body),
    ]
}

fn upgrade(lines: &str) -> String {
    format!(
        "GET /ws?room=upgraded HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// Sees whether something hidden was published.
struct Watch(WsClient, u16);

impl Watch {
    fn start(port: u16) -> Self {
        Self(WsClient::raw(port, "/ws?room=hidden").unwrap(), port)
    }

    #[track_caller]
    fn saw_nothing(mut self) {
        request(self.1, "POST", "/rooms/hidden/messages", &[], b"the end").unwrap();
        assert_eq!(self.0.message().unwrap().text(), "the end", "a hidden request was carried out");
    }
}

/// The answers to `shape` with the hidden request behind it.
fn answers(port: u16, shape: &str) -> Vec<u16> {
    let mut stream = say(port, format!("{shape}{HIDDEN}").as_bytes());
    statuses(&read_to_end(&mut stream))
}

#[test]
fn the_node_alone() {
    let scene = Scene::start(&["limits.body=1s", "limits.headers=1s"]);
    let watch = Watch::start(scene.port());
    scene.withstands("requests that can be read in two ways", |port| {
        for (name, shape) in refused() {
            assert_eq!(answers(port, &shape), [400], "{name}");
        }
        for (name, shape) in last_ones() {
            let answers = answers(port, &shape);
            assert!(answers == [202] || answers == [400], "{name}: {answers:?}");
        }
    });
    // Not a second way to read it: LF alone ends a line (RFC 9112, section 2.2), and what is the same twice is once.
    let plain = post("Content-Length: 1\r\nContent-Length: 1\r\n") + "x";
    let bare = "POST /rooms/open/messages HTTP/1.1\nHost: a\nContent-Length: 1\nConnection: close\n\nx";
    for shape in [plain.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"), bare.to_owned()] {
        assert_eq!(answers(scene.port(), &shape), [202], "{shape:?}");
    }
    watch.saw_nothing();
    scene.end();
}

/// What comes right behind the request for a WebSocket is a frame, and no request.
#[test]
fn bytes_behind_an_upgrade() {
    let scene = Scene::start(&[]);
    let watch = Watch::start(scene.port());
    let mut witness = WsClient::raw(scene.port(), "/ws?room=upgraded").unwrap();
    let frame = roomcast_bench::ws::frame(0x81, b"early");
    scene.withstands("a request behind the request for a WebSocket", |port| {
        let mut stream = say(port, &[upgrade("").as_bytes(), &frame, HIDDEN.as_bytes()].concat());
        let answer = read_to_end(&mut stream);
        assert_eq!(statuses(&answer), [101]);
        // "PO" is the head of a frame with a reserved bit: 1002.
        assert!(answer.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == 1002_u16.to_be_bytes()));
        assert_eq!(witness_reads(&witness), "early");
    });
    watch.saw_nothing();
    drop(witness.send_frame(0x88, b""));
    drop(witness);
    scene.end();
}

fn witness_reads(witness: &WsClient) -> String {
    use std::io::Read as _;
    let mut frame = [0; 7];
    witness.stream().read_exact(&mut frame).unwrap();
    String::from_utf8_lossy(&frame[2..]).into_owned()
}

/// Each balancer keeps connections to the node and gives them to others: an answer too many would be somebody else's.
#[test]
fn behind_balancers() {
    let scene = Scene::start(&["limits.body=200ms", "limits.headers=200ms"]);
    for (kind, configuration) in [(Kind::Haproxy, haproxy as fn(u16, &Node) -> String), (Kind::Nginx, nginx)]
    {
        let port = free_port();
        let balancer = Balancer::start_with(kind, port, &configuration(port, &scene.node)).unwrap();
        let watch = Watch::start(scene.port());
        scene.withstands_once(&format!("requests that {kind:?} may read in another way"), |_| {
            for (name, shape) in refused().into_iter().chain(last_ones()) {
                // Told to close, so that no balancer waits for the next request.
                let shape = shape.replacen("\r\nHost: a", "\r\nHost: a\r\nConnection: close", 1);
                let answers = answers(balancer.port(), &shape);
                assert!(answers.len() <= 1, "{name} behind {kind:?}: {answers:?}");
                // The next client, on a connection that the balancer may have kept, gets its own answer.
                let other = request(balancer.port(), "GET", "/rooms/other/history", &[], b"").unwrap();
                assert_eq!(other.status, 404, "{name} behind {kind:?}: {}", other.text());
                assert!(other.text().contains("history"), "{name} behind {kind:?}: {}", other.text());
            }
        });
        watch.saw_nothing();
    }
    scene.end();
}

fn haproxy(port: u16, node: &Node) -> String {
    let node = node.port();
    format!(
        "defaults\n  mode http\n  timeout connect 5s\n  timeout client 3s\n  timeout server 3s\n  http-reuse always\n\
         listen all\n  bind 127.0.0.1:{port}\n  server node 127.0.0.1:{node}\n"
    )
}

fn nginx(port: u16, node: &Node) -> String {
    let node = node.port();
    format!(
        "pid nginx.pid;\nerror_log stderr crit;\nevents {{ }}\nhttp {{\n access_log off;\n client_body_temp_path body;\n \
         proxy_temp_path proxy;\n fastcgi_temp_path fastcgi;\n uwsgi_temp_path uwsgi;\n scgi_temp_path scgi;\n \
         upstream node {{ server 127.0.0.1:{node}; keepalive 1; }}\n server {{\n listen 127.0.0.1:{port};\n \
         client_header_timeout 1s;\n client_body_timeout 1s;\n lingering_close off;\n location / {{\n proxy_pass http://node;\n \
         proxy_http_version 1.1;\n proxy_request_buffering off;\n proxy_set_header Connection '';\n }} }} }}\n"
    )
}
