//! From an outbox to its client. Nothing else writes to the socket.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use roomcast_protocol::Close;
use roomcast_session::Outbox;
use tokio::time::timeout;

use crate::downstream::Downstream;

/// How long a peer may take nothing of what is left to be written, once the conversation has been given up.
const CLOSING_STALL: Duration = Duration::from_secs(5);

/// Writes what is queued until the conversation is to end, and gives how. Whatever was queued before is written
/// by then, or dropped because the conversation was given up.
pub(crate) async fn write_queued(downstream: &Downstream, outbox: &Outbox) -> io::Result<Close> {
    match poll_fn(|context| poll_queued(context, downstream, outbox)).await? {
        Progress::Closing(close) => Ok(close),
        // Boxed, because it is rare and holds a timer.
        Progress::StalledAtEnd => Box::pin(write_rest(downstream, outbox)).await,
    }
}

/// What a writer has come to.
enum Progress {
    /// Everything is written, and the conversation is to end.
    Closing(Close),
    /// It is to end, and the peer keeps us waiting.
    StalledAtEnd,
}

fn poll_queued(
    context: &mut Context<'_>,
    downstream: &Downstream,
    outbox: &Outbox,
) -> Poll<io::Result<Progress>> {
    loop {
        // Goes on by itself where the peer keeps us waiting, and need not be through before more is written.
        if let Poll::Ready(Err(error)) = downstream.poll_flush(context) {
            return Poll::Ready(Err(error));
        }
        match outbox.poll_next(context) {
            Poll::Ready(None) => {}
            Poll::Ready(Some(close)) => return Poll::Ready(Ok(Progress::Closing(close))),
            Poll::Pending => return Poll::Pending,
        }
        match poll_write(context, downstream, outbox) {
            Poll::Ready(Ok(0)) if !outbox.is_empty() => {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if outbox.is_closing() => return Poll::Ready(Ok(Progress::StalledAtEnd)),
            Poll::Pending => {
                // Who gives up the conversation meanwhile is heard.
                outbox.wake_at_end(context);
                return Poll::Pending;
            }
        }
    }
}

/// One vectored write of many entries.
fn poll_write(
    context: &mut Context<'_>,
    downstream: &Downstream,
    outbox: &Outbox,
) -> Poll<io::Result<usize>> {
    let mut pending = false;
    let result = outbox.write_with(|slices| match downstream.poll_write(context, slices) {
        Poll::Ready(result) => result,
        Poll::Pending => {
            pending = true;
            Ok(0)
        }
    });
    if pending { Poll::Pending } else { Poll::Ready(result) }
}

/// The rest, as long as the peer takes some of it now and then.
async fn write_rest(downstream: &Downstream, outbox: &Outbox) -> io::Result<Close> {
    loop {
        if let Some(close) = outbox.closing() {
            return Ok(close);
        }
        let writing = poll_fn(|context| poll_write(context, downstream, outbox));
        match timeout(CLOSING_STALL, writing).await.map_err(|_| io::ErrorKind::TimedOut)?? {
            0 if !outbox.is_empty() => return Err(io::ErrorKind::WriteZero.into()),
            _ => {}
        }
    }
}

/// Writes some last bytes to a peer that has to take them soon.
pub(crate) async fn write_last(downstream: &Downstream, mut bytes: Bytes) -> io::Result<()> {
    let writing = async {
        while !bytes.is_empty() {
            let written =
                poll_fn(|context| downstream.poll_write(context, &[io::IoSlice::new(&bytes)])).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let _ = bytes.split_to(written);
        }
        poll_fn(|context| downstream.poll_flush(context)).await
    };
    timeout(CLOSING_STALL, writing).await.map_err(|_| io::ErrorKind::TimedOut)?
}
