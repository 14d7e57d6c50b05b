//! From the socket to the session.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use roomcast_protocol::Close;
use roomcast_protocol::wire::ws_frame;
use roomcast_protocol::wire::ws_reader::{FrameReader, Incoming, ReadError};
use roomcast_session::{Entry, Session};
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;

use crate::downstream::Downstream;
use crate::limits::LATE_BYTES_MAX;
use crate::socket::with_scratch;

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
#[derive(Default)]
pub(super) struct Read {
    frames: Vec<Incoming>,
    /// What came after them could not be taken.
    error: Option<ReadError>,
    end: bool,
    /// How many bytes all that was.
    len: usize,
}

/// Passes on what the peer sends until its side ends.
pub(super) async fn read_loop(
    downstream: &Downstream,
    early: Read,
    session: &Session,
    reader: &mut FrameReader,
) -> PeerEnd {
    // What needs more than a moment is boxed: a connection that has nothing to say takes little memory.
    if let Some(end) = Box::pin(take_all(early, session, reader.take_frames())).await {
        return end;
    }
    loop {
        let Ok(read) = next(downstream, reader).await else { return PeerEnd::Gone };
        session.seen();
        let frames = reader.take_frames();
        if read.is_only_a_sign_of_life() && session.keeps_pace(frames) {
            continue;
        }
        if let Some(end) = Box::pin(take_all(read, session, frames)).await {
            return end;
        }
    }
}

/// Carries out what came with so many frames, and waits where they came too fast.
async fn take_all(read: Read, session: &Session, frames: u32) -> Option<PeerEnd> {
    for frame in read.frames {
        if let Some(end) = take(frame, session).await {
            return Some(end);
        }
        // One that sends much at once lets the others of its core have their turn.
        consume_budget().await;
    }
    if let Some(ReadError { code, reason }) = read.error {
        session.outbox().close(Close::new(code, reason));
        return Some(PeerEnd::Refused);
    }
    if read.end {
        return Some(PeerEnd::Gone);
    }
    session.pace(frames).await;
    None
}

impl Read {
    fn is_only_a_sign_of_life(&self) -> bool {
        !self.end && self.error.is_none() && self.frames.iter().all(|frame| matches!(frame, Incoming::Pong))
    }
}

/// Reads and forgets, until the peer's close frame, the end, or more than was on its way: the rest of a message, and
/// [`LATE_BYTES_MAX`]. One that goes on too fast has no intention to close.
pub(super) async fn drain(downstream: &Downstream, session: &Session, reader: &mut FrameReader) {
    let mut left = reader.message_bytes_max() + LATE_BYTES_MAX;
    while left > 0 {
        match next(downstream, reader).await {
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

async fn next(downstream: &Downstream, reader: &mut FrameReader) -> io::Result<Read> {
    poll_fn(|context| {
        with_scratch(|scratch| match downstream.poll_read(context, scratch) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Read { end: true, ..Read::default() })),
            Poll::Ready(Ok(len)) => Poll::Ready(Ok(parse(&mut scratch[..len], reader))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        })
    })
    .await
}

pub(super) fn parse(mut bytes: &mut [u8], reader: &mut FrameReader) -> Read {
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
