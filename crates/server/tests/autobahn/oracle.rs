//! An echo server made of tokio-websockets, which shares no code with ours: the same cases, byte by
//! byte, show whether the table is right, and where the two differ.

use std::net::TcpListener;
use std::thread;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_websockets::{Config, Limits, ServerBuilder};

use crate::run::MESSAGE_BYTES_MAX;

/// The cases where tokio-websockets 0.13 does something else, what it does, and why we do not.
pub(crate) const DIFFERENCES: [(&str, &str); 12] = [
    // It answers a close with its code alone. RFC 6455, section 5.5.1, asks for no more; browsers' pages like to have
    // their reason back.
    ("7.3.4", "close 1000 \"\" instead of a close with"),
    ("7.3.5", "close 1000 \"\" instead of a close with"),
    // It takes the highest bit for a part of the number. RFC 6455, section 5.2, says that this bit
    // must be 0, so a length that has it is a mistake in the protocol and no size.
    ("length with the highest bit", "close 1009 \"max length: 16777216\" instead of a close with 1002"),
    // It refuses, as we do, but sends no close frame that would say why.
    ("fragments that are too large together", "end of the connection instead of a close with 1009"),
    // It does not look at an empty last fragment, and so lets a text end within a character.
    // RFC 6455, section 8.1, calls for failing the connection.
    ("6.6.1 in fragments", "frame 0x81 of 1 bytes: \"\u{fffd}\" instead of a close with 1007"),
    ("6.6.3 in fragments", "frame 0x81 of 3 bytes: \"\u{3ba}\u{fffd}\" instead of a close with 1007"),
    ("6.6.4 in fragments", "frame 0x81 of 4 bytes: \"\u{3ba}\u{fffd}\" instead of a close with 1007"),
    ("6.6.6 in fragments", "frame 0x81 of 6 bytes: \"\u{3ba}\u{1f79}\u{fffd}\" instead of a close with 1007"),
    (
        "6.6.8 in fragments",
        "frame 0x81 of 8 bytes: \"\u{3ba}\u{1f79}\u{3c3}\u{fffd}\" instead of a close with 1007",
    ),
    (
        "6.6.10 in fragments",
        "frame 0x81 of 10 bytes: \"\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{fffd}\" instead of a close with 1007",
    ),
    ("6.14.6 in fragments", "frame 0x81 of 1 bytes: \"\u{fffd}\" instead of a close with 1007"),
    ("6.14.7 in fragments", "frame 0x81 of 2 bytes: \"\u{fffd}\" instead of a close with 1007"),
];

/// Calls `test` with the port of an oracle, which is gone afterwards.
pub(crate) fn with_oracle(test: impl FnOnce(u16)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = oneshot::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener) => {}
                    _ = stopped => {}
                }
            });
        });
        // Dropped when the test ends, also by a panic.
        let _stop = stop;
        test(port);
    });
}

async fn accept(listener: TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(converse(stream));
    }
}

async fn converse(stream: TcpStream) {
    let limits = Limits::default().max_payload_len(Some(MESSAGE_BYTES_MAX));
    let config = Config::default().frame_size(MESSAGE_BYTES_MAX);
    let server = ServerBuilder::new().limits(limits).config(config);
    let (_, mut socket) = server.accept(stream).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            break;
        }
    }
    // After an error its close frame still waits to be written.
    let _ = socket.flush().await;
    let mut stream = socket.into_inner();
    let _ = stream.shutdown().await;
    // Late data would be answered with a reset, which takes the close frame away.
    let _ = copy(&mut stream, &mut sink()).await;
}
