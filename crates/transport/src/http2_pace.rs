//! How fast an HTTP/2 connection is read: so many frames a second, and a few at a time.
//!
//! The library bounds what a peer may make it hold, but answers PING and SETTINGS frames, and drops PRIORITY frames,
//! as fast as they come, without a pause for the others of the core. Frames are counted here on their way, by their
//! heads alone (RFC 9113, section 4.1); a peer that sends too many is not read from for a while, and TCP holds it back.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use roomcast_session::TokenBucket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::limits::{HTTP2_FRAMES, HTTP2_FRAMES_PER_TURN};

/// What a client sends before its first frame (RFC 9113, section 3.4), in bytes.
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
/// A frame's payload in bytes that pays for the work of a frame: bodies have their own bounds.
const FREE_FROM_BYTES: usize = 1024;

/// What is read at once while frames are small and many: about as many of them as a turn has.
const CROWDED_READ_BYTES: usize = HTTP2_FRAMES_PER_TURN as usize * 16;

/// A stream that is read no faster than that.
pub(crate) struct Http2Pace<S> {
    stream: S,
    frames: FrameCounter,
    bucket: TokenBucket,
    /// Frames that were read and are not paid for.
    owed: u64,
    resting: Option<Pin<Box<Sleep>>>,
    /// Many frames were read in this turn: the others of the core come first.
    yields: bool,
    /// Until few are, less is read at once.
    crowded: bool,
}

impl<S> Http2Pace<S> {
    pub(crate) fn new(stream: S) -> Self {
        let bucket = TokenBucket::full(HTTP2_FRAMES, Instant::now());
        Self {
            stream,
            frames: FrameCounter::new(),
            bucket,
            owed: 0,
            resting: None,
            yields: false,
            crowded: false,
        }
    }

    /// Ready when more may be read.
    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.yields) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(resting) = &mut self.resting {
                ready!(resting.as_mut().poll(context));
                self.resting = None;
            }
            match self.bucket.take(self.owed, HTTP2_FRAMES, Instant::now()) {
                Ok(()) => {
                    self.owed = 0;
                    return Poll::Ready(());
                }
                Err(wait) => self.resting = Some(Box::pin(sleep(wait))),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Http2Pace<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(context));
        let max = if self.crowded { CROWDED_READ_BYTES } else { buffer.remaining() };
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(max.min(buffer.remaining())));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let frames = self.frames.count(part.filled());
        let len = part.filled().len();
        buffer.advance(len);
        self.owed += frames;
        self.crowded = frames > HTTP2_FRAMES_PER_TURN / 4;
        self.yields = self.crowded;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Http2Pace<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Finds the heads of frames in what is read.
struct FrameCounter {
    /// Bytes until the next head begins.
    skip: usize,
    /// The first bytes of a head that is not whole: its length.
    length: [u8; 3],
    /// How much of a head was seen.
    seen: usize,
}

impl FrameCounter {
    fn new() -> Self {
        Self { skip: PREFACE_BYTES, length: [0; 3], seen: 0 }
    }

    /// How many frames begin here that are small.
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut frames = 0;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let Some((first, rest)) = bytes.split_first() else { return frames };
            self.length[self.seen] = *first;
            self.seen += 1;
            bytes = rest;
            if self.seen == self.length.len() {
                let [high, middle, low] = self.length;
                let payload = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.skip = HEAD_BYTES - self.length.len() + payload;
                self.seen = 0;
                frames += u64::from(payload < FREE_FROM_BYTES);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let mut bytes = vec![b'p'; PREFACE_BYTES];
        for payload in [0_usize, 8, 5, 2000, 0] {
            bytes.extend(&(payload as u32).to_be_bytes()[1..]);
            bytes.extend(vec![7; HEAD_BYTES - 3 + payload]);
        }
        for size in [1, 2, 3, 7, 10, 1000, 10_000] {
            let mut counter = FrameCounter::new();
            assert_eq!(bytes.chunks(size).map(|piece| counter.count(piece)).sum::<u64>(), 4, "{size}");
        }
    }
}
