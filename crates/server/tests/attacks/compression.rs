//! Compressed WebSocket messages that are worth more, or less, than they promise, at a node that takes them.

use roomcast_bench::WsClient;
use roomcast_bench::ws::frame;

use crate::deflate::{OFFER, RSV1, compressed};
use crate::scene::Scene;

/// Attackers at once.
const MANY: usize = 5;

const TURNED_ON: &str = "websocket.deflate.enabled=true";

/// What a message may have by default, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

fn client(port: u16) -> WsClient {
    let offer = [("Sec-WebSocket-Extensions", OFFER)];
    let client = WsClient::connect(port, "/ws?room=bombs", &offer).unwrap().unwrap();
    assert!(client.extensions().is_some());
    client
}

/// All send this, and are closed with this code.
fn closed_with(port: u16, bytes: &[u8], code: u16) {
    let mut clients: Vec<_> = (0..MANY).map(|_| client(port)).collect();
    for client in &mut clients {
        // The rest is not read once the answer is on its way.
        let _ = client.send_bytes(bytes);
        // The close frame is lost where the kernel answers late data with a reset.
        if let Ok(answer) = client.close_code() {
            assert_eq!(answer, Some(code));
        }
    }
}

#[test]
fn bombs() {
    // What may be sent at once has to be compressed again for the others of the room: little, so that the test is not about that.
    let scene = Scene::start(&[TURNED_ON, "limits.bytes_per_second=512KiB"]);
    let bomb = compressed(&vec![0; 32 << 20]);
    assert!(bomb.len() < MESSAGE_BYTES_MAX, "{} bytes make 32 MiB", bomb.len());
    let closes = || scene.metric("roomcast_closes_total", "1009");
    scene.withstands("messages that inflate to a thousandfold", |port| {
        closed_with(port, &frame(RSV1 | 0x82, &bomb), 1009);
    });
    assert!(closes() >= MANY as f64);
    // As many as fit into one read of the node, each just short enough: one is inflated at a time.
    let large = frame(RSV1 | 0x82, &compressed(&vec![0; MESSAGE_BYTES_MAX])).repeat(1000);
    scene.withstands("large messages in small frames, as fast as possible", |port| {
        closed_with(port, &large, 4429);
    });
    let inflated = scene.metric("roomcast_deflate_bytes_total", "direction=\"received\",size=\"plain\"");
    assert!(inflated > 0.0 && scene.metric("roomcast_closes_total", "4429") >= MANY as f64);
    scene.withstands("final blocks without end", |port| {
        closed_with(port, &frame(RSV1 | 0x82, &[0x03, 0x00].repeat(30_000)), 1009);
    });
    scene.end();
}

#[test]
fn half_messages() {
    let scene = Scene::start(&[TURNED_ON]);
    let begin = frame(RSV1 | 0x02, b"\x00");
    let rest = frame(0x00, &[0; 1000]).repeat(200);
    scene.withstands("compressed fragments without end", |port| {
        closed_with(port, &[&begin[..], &rest].concat(), 1009);
    });
    let announced = [&[RSV1 | 0x82, 0xff][..], &(1_u64 << 20).to_be_bytes(), &[0; 4]].concat();
    scene.withstands("compressed frames that are too large are announced", |port| {
        closed_with(port, &announced, 1009);
    });
    scene.end();
}

#[test]
fn nonsense() {
    let scene = Scene::start(&[TURNED_ON]);
    let cut_off = compressed(b"to be or not to be, that is the question");
    let cases = [
        ("what is not DEFLATE", frame(RSV1 | 0x81, &[0xff; 1000]), 1007),
        ("what is cut off", frame(RSV1 | 0x81, &cut_off[..cut_off.len() / 2]), 1007),
        ("what is not UTF-8", frame(RSV1 | 0x81, &compressed(&[0xff; 1000])), 1007),
        ("compressed pings", frame(RSV1 | 0x89, b""), 1002),
    ];
    for (name, bytes, code) in cases {
        scene.withstands(name, |port| closed_with(port, &bytes, code));
        assert!(scene.metric("roomcast_closes_total", &code.to_string()) >= MANY as f64);
    }
    scene.end();
}
