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
