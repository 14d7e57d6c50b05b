//! Compression with clients whose authors wrote their own: npm `ws`, Python `websockets`, Chromium and Node's zlib over HTTP/2, all at
//! once in a room of a node that compresses, with one that takes nothing compressed.

use roomcast_bench::WsClient;
use xtask::Node;

use crate::content::Content;
use crate::sockets::{Library, Sockets};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// Turned on, with a setting.
fn node(setting: &str) -> Node {
    Node::start(BINARY, &["--set", "websocket.deflate.enabled=true", "--set", setting]).unwrap()
}

/// What is published: text and bytes, short, long, empty, and noise that does not become shorter.
fn contents() -> Vec<Content> {
    let noise: Vec<u8> = (0..20_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![
        Content::text("gr\u{fc}n und blau ".repeat(100)),
        Content::text(""),
        Content::text("short"),
        Content::bytes(b"\x00\xff\x00\xfe".repeat(300)),
        Content::bytes(noise),
        Content::text("x".repeat(64 * 1024)),
    ]
}

/// Everybody sends everything, and everybody hears it.
fn converse(node: &Node, clients: &mut [Sockets], plain: &mut WsClient) {
    for sockets in clients.iter() {
        let extensions = sockets.opened[0]["extensions"].as_str().unwrap();
        assert!(extensions.starts_with("permessage-deflate"), "{extensions:?}");
    }
    for sender in 0..clients.len() {
        for content in contents() {
            clients[sender].send(0, &content);
            for (place, sockets) in clients.iter_mut().enumerate() {
                if place != sender {
                    assert_eq!(sockets.message(0), content, "from {sender} to {place}");
                }
            }
            let frame = plain.message().unwrap();
            assert!([0x81, 0x82].contains(&frame.first), "nobody who did not ask gets it compressed");
            assert!(frame.payload == content.as_bytes());
        }
    }
    let bytes = |direction: &str, size: &str| {
        let label = format!("direction=\"{direction}\",size=\"{size}\"");
        node.metric("roomcast_deflate_bytes_total", &label).unwrap()
    };
    for direction in ["sent", "received"] {
        let (plain, compressed) = (bytes(direction, "plain"), bytes(direction, "compressed"));
        assert!(compressed > 0.0 && compressed < plain / 2.0, "{direction}: {plain} became {compressed}");
    }
}

#[test]
fn libraries_and_a_browser() {
    let node = node("websocket.deflate.level=6");
    let port = node.port();
    let mut clients = [
        Sockets::raw(Library::Npm, port, "/ws?room=a", 1),
        Sockets::raw(Library::Python, port, "/ws?room=a", 1),
        Sockets::chromium(port, &["/ws?room=a"]),
        Sockets::http2_deflate(port, "/ws?room=a", 1),
    ];
    let mut plain = WsClient::raw(port, "/ws?room=a").unwrap();
    converse(&node, &mut clients, &mut plain);
    clients.into_iter().for_each(Sockets::finish);
}

/// Also where the node tells its clients, unasked, that it uses a small window.
#[test]
fn small_windows() {
    let node = node("websocket.deflate.window_bits=10");
    let port = node.port();
    let mut clients = [
        Sockets::raw(Library::Npm, port, "/ws?room=a", 1),
        Sockets::raw(Library::Python, port, "/ws?room=a", 1),
        Sockets::chromium(port, &["/ws?room=a"]),
    ];
    let mut plain = WsClient::raw(port, "/ws?room=a").unwrap();
    converse(&node, &mut clients, &mut plain);
    clients.into_iter().for_each(Sockets::finish);
}

#[test]
fn json_mode() {
    let node = node("websocket.deflate.threshold=0");
    let mut clients = Sockets::json(Library::Npm, node.port(), "/ws?room=a", 2);
    let data = "once more ".repeat(1000);
    for n in 0..2 {
        clients.command(n, &serde_json::json!({ "type": "publish", "room": "a", "data": data }));
        (0..2).for_each(|n| assert_eq!(clients.message(n), Content::text(&*data)));
    }
    assert!(clients.opened[1]["extensions"].as_str().unwrap().starts_with("permessage-deflate"));
    let sent = node.metric("roomcast_deflate_bytes_total", "direction=\"sent\",size=\"plain\"").unwrap();
    let messages = 2.0 * data.len() as f64;
    assert!(sent > messages && sent < 1.1 * messages, "each message is compressed once for both: {sent}");
    clients.finish();
}
