//! From the socket to the session.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bytes::Bytes;
use roomcast_protocol::Close;
use roomcast_protocol::wire::deflate::Inflater;
use roomcast_protocol::wire::ws_frame;
use roomcast_protocol::wire::ws_reader::{FrameReader, Incoming, ReadError};
use roomcast_session::{Entry, Session};
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;

use crate::downstream::Downstream;
use crate::limits::LATE_BYTES_MAX;
use crate::socket::with_scratch;

thread_local! {
    /// For all connections of a core, one message at a time; made when the first one comes compressed.
    static INFLATER: RefCell<Inflater> = RefCell::default();
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
    let bytes_max = reader.message_bytes_max();
    // What needs more than a moment is boxed: a connection that has nothing to say takes little memory.
    if let Some(end) = Box::pin(take_all(early, session, bytes_max, reader.take_frames())).await {
        return end;
    }
    loop {
        let Ok(read) = next(downstream, reader).await else { return PeerEnd::Gone };
        session.seen();
        let frames = reader.take_frames();
        if read.is_only_a_sign_of_life() && session.keeps_pace(frames) {
            continue;
        }
        if let Some(end) = Box::pin(take_all(read, session, bytes_max, frames)).await {
            return end;
        }
    }
}

/// Carries out what came with so many frames, and waits where they came too fast.
async fn take_all(read: Read, session: &Session, bytes_max: usize, frames: u32) -> Option<PeerEnd> {
    for frame in read.frames {
        let was_compressed = matches!(frame, Incoming::Compressed { .. });
        if let Some(end) = take(frame, bytes_max, session).await {
            return Some(end);
        }
        // One that sends much at once lets the others of its core have their turn; at once where few bytes make much work.
        match was_compressed {
            true => yield_now().await,
            false => consume_budget().await,
        }
    }
    if let Some(error) = read.error {
        return Some(refuse(error, session));
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

fn refuse(ReadError { code, reason }: ReadError, session: &Session) -> PeerEnd {
    session.outbox().close(Close::new(code, reason));
    PeerEnd::Refused
}

/// A compressed message is inflated when its turn has come, and what came with it has been taken.
fn inflate(text: bool, payload: &[u8], bytes_max: usize, session: &Session) -> Result<Bytes, ReadError> {
    let message = INFLATER.with_borrow_mut(|inflater| inflater.message(text, payload, bytes_max))?;
    let stats = session.core().stats();
    stats.inflated_from_bytes.add(payload.len() as u64);
    stats.inflated_bytes.add(message.len() as u64);
    Ok(message)
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

async fn take(frame: Incoming, bytes_max: usize, session: &Session) -> Option<PeerEnd> {
    let (text, message) = match frame {
        Incoming::Text(message) => (true, message),
        Incoming::Binary(message) => (false, message),
        Incoming::Compressed { text, payload } => match inflate(text, &payload, bytes_max, session) {
            Ok(message) => (text, message),
            Err(error) => return Some(refuse(error, session)),
        },
        Incoming::Ping(payload) => {
            // A peer that pings and does not read loses its pongs, then its connection.
            if session.outbox().push(Entry::Reply(ws_frame::pong(&payload))).is_ok() {
                return None;
            }
            session.outbox().abort(Close::SLOW_CONSUMER);
            return Some(PeerEnd::Refused);
        }
        Incoming::Pong => return None,
        Incoming::Close(close) => {
            // Code and reason go back as they came, as a page expects that asks its `CloseEvent` for them. 1005 is never
            // sent: it stands for a close frame without a code.
            session.outbox().close(close.unwrap_or_else(|| Close::new(1005, "")));
            return Some(PeerEnd::Closed);
        }
    };
    session.receive(text, message).await.err().map(|_| PeerEnd::Refused)
}
