//! What an idle client costs a node in memory, where `roomcast bench` has no client for it: event streams over HTTP/2,
//! and WebSockets in JSON mode over TLS.
//!
//! `cargo run --release -p roomcast --example idle_memory -- http2|tls COUNT`, after `cargo build --release`
//!
//! Starts a node, opens the clients in one room, waits for a heartbeat, and compares the node's resident memory with
//! that before.

#![allow(clippy::unwrap_used, reason = "a tool that ends with the first thing that is wrong")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsConnector, rustls};
use xtask::{Authority, Node};

/// Streams on one HTTP/2 connection: what a node allows.
const STREAMS: usize = 1000;

/// Clients from one address: there are 28,000 ports for each.
const FROM_ONE_ADDRESS: usize = 2000;

const HEARTBEAT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, count] = &arguments[..] else {
        eprintln!("usage: idle_memory http2|tls COUNT");
        std::process::exit(2);
    };
    let count: usize = count.parse().unwrap();
    let authority = Authority::new().unwrap();
    let certificates = authority.issue("node", &["localhost"], 2100).unwrap().setting();
    let mut settings = vec![format!("server.heartbeat={}s", HEARTBEAT.as_secs())];
    settings.extend(
        ["handshakes_per_second", "connections_per_address"].map(|limit| format!("limits.{limit}=0")),
    );
    if kind == "tls" {
        settings.push(format!("tls.certificates={certificates}"));
    }
    let settings: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let binary = std::env::current_exe().unwrap().parent().unwrap().with_file_name("roomcast");
    let node = Node::start(binary, &settings).unwrap();
    let before = node.resident_kib().unwrap();
    match &**kind {
        "http2" => hold(&node, before, count, event_streams(node.port(), count).await).await,
        _ => hold(&node, before, count, sockets(node.port(), count, &authority).await).await,
    }
}

/// Waits while everything is kept, and says what it costs.
async fn hold<T>(node: &Node, before: u64, count: usize, clients: Vec<T>) {
    // One heartbeat: nobody here answers a ping, and a second would end it.
    tokio::time::sleep(HEARTBEAT).await;
    let members = node.metric("roomcast_room_members", "").unwrap();
    let after = node.resident_kib().unwrap();
    println!(
        "{count} clients, {members} members: {before} KiB before, {after} KiB with them, {:.2} KiB each",
        (after - before) as f64 / count as f64
    );
    drop(clients);
}

async fn connect(port: u16, number: usize) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let from = format!("127.0.0.{}:0", 2 + number / FROM_ONE_ADDRESS);
    socket.bind(from.parse().unwrap()).unwrap();
    socket.connect(([127, 0, 0, 1], port).into()).await.unwrap()
}

async fn event_streams(port: u16, count: usize) -> Vec<Incoming> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let socket = TokioIo::new(connect(port, 0).await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), socket).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..STREAMS.min(count - streams.len()) {
            let request = Request::get("http://localhost/sse?room=idle").body(Empty::<Bytes>::new()).unwrap();
            let mut body = sender.send_request(request).await.unwrap().into_body();
            body.frame().await.unwrap().unwrap();
            streams.push(body);
        }
        // Ends the connection when it is dropped, and is not needed again.
        std::mem::forget(sender);
    }
    streams
}

async fn sockets(port: u16, count: usize, authority: &Authority) -> Vec<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let mut sockets = Vec::with_capacity(count);
    for number in 0..count {
        let name = ServerName::try_from("localhost").unwrap();
        let mut socket = connector.connect(name, connect(port, number).await).await.unwrap();
        let request = "GET /ws?room=idle HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: roomcast.v1\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 512];
        let len = socket.read(&mut answer).await.unwrap();
        assert!(answer[..len].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer[..len]));
        sockets.push(socket);
    }
    sockets
}
