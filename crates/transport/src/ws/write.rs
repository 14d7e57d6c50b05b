//! From the outbox to the socket. Nothing else writes to it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use roomcast_protocol::wire::ws_frame;
use roomcast_session::{Outbox, Session};
use tokio::time::timeout;

use crate::socket::Socket;

/// How often a writer that the peer keeps waiting looks up whether it should still wait.
const STALL_CHECK: Duration = Duration::from_secs(1);

/// How many such looks a peer is given to take the rest of a message and the close frame, once the
/// conversation has been given up.
const STALLS_WHEN_CLOSING_MAX: u32 = 5;

/// Writes what is queued until the conversation is to end, then the close frame.
pub(super) async fn write_loop(socket: &Socket, session: &Session) -> io::Result<()> {
    let outbox = session.outbox();
    loop {
        poll_fn(|context| match socket.poll_flush(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // Goes on by itself meanwhile, and need not be through before more is written.
            _ => outbox.poll_ready(context).map(Ok),
        })
        .await?;
        if let Some(close) = outbox.closing() {
            let frame =
                if close.code == 1005 { ws_frame::close_without_code() } else { ws_frame::close(&close) };
            session.core().stats().closed(close.code);
            return write_all(socket, frame).await;
        }
        write_some(socket, outbox).await?;
    }
}

/// One vectored write of many entries. A timer runs only while the peer does not read: where the
/// conversation has been given up meanwhile, there is no use in waiting for it.
async fn write_some(socket: &Socket, outbox: &Outbox) -> io::Result<()> {
    let mut stalls = 0;
    loop {
        let writing = poll_fn(|context| {
            let mut pending = false;
            let result = outbox.write_with(|slices| match socket.poll_write(context, slices) {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    pending = true;
                    Ok(0)
                }
            });
            if pending { Poll::Pending } else { Poll::Ready(result) }
        });
        match timeout(STALL_CHECK, writing).await {
            // Given up while the peer kept us waiting: what waited is gone.
            Ok(Ok(0)) if outbox.is_empty() => return Ok(()),
            Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(result) => return result.map(|_| ()),
            Err(_) if outbox.is_closing() && stalls >= STALLS_WHEN_CLOSING_MAX => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(_) => stalls += u32::from(outbox.is_closing()),
        }
    }
}

async fn write_all(socket: &Socket, mut bytes: Bytes) -> io::Result<()> {
    while !bytes.is_empty() {
        let writing = poll_fn(|context| socket.poll_write(context, &[IoSlice::new(&bytes)]));
        let written = timeout(STALL_CHECK, writing).await.map_err(|_| io::ErrorKind::TimedOut)??;
        let _ = bytes.split_to(written);
    }
    let flushing = poll_fn(|context| socket.poll_flush(context));
    timeout(STALL_CHECK, flushing).await.map_err(|_| io::ErrorKind::TimedOut)?
}
