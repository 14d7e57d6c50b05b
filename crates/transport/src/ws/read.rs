//! From the socket to the session.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bytes::Bytes;
use roomcast_protocol::Close;
use roomcast_protocol::wire::ws_frame;
use roomcast_protocol::wire::ws_reader::{FrameReader, Incoming, ReadError};
use roomcast_session::{Entry, Session};
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;

use crate::limits::{LATE_BYTES_MAX, READ_BYTES};
use crate::socket::Socket;

thread_local! {
    /// Read into by all connections of a core, one at a time: an idle connection has no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// How the peer's side of the conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PeerEnd {
    /// It is gone; nothing can be said any more.
    Gone,
    /// It has sent its close frame.
    Closed,
    /// It has been told to go, for something it sent.
    Refused,
}

/// What one read gave.
struct Read {
    frames: Vec<Incoming>,
    /// What came after them could not be taken.
    error: Option<ReadError>,
    end: bool,
    /// How many bytes all that was.
    len: usize,
}

/// Passes on what the peer sends until its side ends.
pub(super) async fn read_loop(
    socket: &Socket,
    early: Bytes,
    session: &Session,
    reader: &mut FrameReader,
) -> PeerEnd {
    let mut read = parse(&mut early.to_vec(), reader);
    loop {
        for frame in read.frames {
            if let Some(end) = take(frame, session).await {
                return end;
            }
            // One that sends much at once lets the others of its core have their turn.
            consume_budget().await;
        }
        if let Some(ReadError { code, reason }) = read.error {
            session.outbox().close(Close::new(code, reason));
            return PeerEnd::Refused;
        }
        if read.end {
            return PeerEnd::Gone;
        }
        session.pace(reader.take_frames()).await;
        read = match next(socket, reader).await {
            Ok(read) => read,
            Err(_) => return PeerEnd::Gone,
        };
        session.seen();
    }
}

/// Reads and forgets, until the peer's close frame, the end, or more than was on its way: the rest of a message, and
/// [`LATE_BYTES_MAX`]. One that goes on too fast has no intention to close.
pub(super) async fn drain(socket: &Socket, session: &Session, reader: &mut FrameReader) {
    let mut left = reader.message_bytes_max() + LATE_BYTES_MAX;
    while left > 0 {
        match next(socket, reader).await {
            Ok(Read { frames, end: false, len, .. })
                if !frames.iter().any(|frame| matches!(frame, Incoming::Close(_))) =>
            {
                left = left.saturating_sub(len);
            }
            _ => return,
        }
        if !session.keeps_pace(reader.take_frames()) {
            return;
        }
        yield_now().await;
    }
}

async fn next(socket: &Socket, reader: &mut FrameReader) -> io::Result<Read> {
    poll_fn(|context| {
        SCRATCH.with_borrow_mut(|scratch| match socket.poll_read(context, scratch) {
            Poll::Ready(Ok(0)) => {
                Poll::Ready(Ok(Read { frames: Vec::new(), error: None, end: true, len: 0 }))
            }
            Poll::Ready(Ok(len)) => Poll::Ready(Ok(parse(&mut scratch[..len], reader))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        })
    })
    .await
}

fn parse(mut bytes: &mut [u8], reader: &mut FrameReader) -> Read {
    let mut read = Read { frames: Vec::new(), error: None, end: false, len: bytes.len() };
    loop {
        match reader.read(&mut bytes) {
            Ok(Some(frame)) => read.frames.push(frame),
            Ok(None) => return read,
            Err(error) => {
                read.error = Some(error);
                return read;
            }
        }
    }
}

async fn take(frame: Incoming, session: &Session) -> Option<PeerEnd> {
    let received = match frame {
        Incoming::Text(message) => session.receive(true, message).await,
        Incoming::Binary(message) => session.receive(false, message).await,
        Incoming::Ping(payload) => {
            // A peer that pings and does not read loses its pongs, then its connection.
            if session.outbox().push(Entry::Reply(ws_frame::pong(&payload))).is_err() {
                session.outbox().abort(Close::SLOW_CONSUMER);
                return Some(PeerEnd::Refused);
            }
            Ok(())
        }
        Incoming::Pong => Ok(()),
        Incoming::Close(code) => {
            // 1005 is never sent: it stands for a close frame without a code.
            session.outbox().close(Close::new(code.unwrap_or(1005), ""));
            return Some(PeerEnd::Closed);
        }
    };
    received.err().map(|_| PeerEnd::Refused)
}
