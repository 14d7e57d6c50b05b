//! A connection that HTTP has let go of: first the head of the answer goes out, then what comes from an outbox, in
//! chunks where HTTP/1.1 needs them (RFC 9112, section 7.1). WebSockets and event streams of HTTP/1.1 share it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use roomcast_session::Sink;

use crate::socket::Socket;

/// Slices of payload that one write passes on; the outbox gives no more.
const SLICES_MAX: usize = 64;

/// What stays allocated for the sizes of chunks: sixteen digits and a few line ends.
const FRAMING_BYTES: usize = 32;

/// The socket, and what it needs around the payload.
pub(crate) struct Downstream {
    socket: Socket,
    framing: RefCell<Framing>,
}

#[derive(Default)]
struct Framing {
    chunked: bool,
    /// Comes before any payload: the head of the answer, the end of the last chunk, the size of the next.
    before: Vec<u8>,
    /// Bytes that the chunk lacks whose size has been said. Whatever is written next is a part of it.
    left: usize,
}

impl Downstream {
    /// `head` goes out before everything else.
    pub(crate) fn new(socket: Socket, head: Vec<u8>, chunked: bool) -> Self {
        Self { socket, framing: RefCell::new(Framing { chunked, before: head, left: 0 }) }
    }

    /// Reads into `buffer`; 0 is the end.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.socket.poll_read(context, buffer)
    }

    /// Whether something can be written at once, if the kernel takes it: TLS and HTTP/2 have ways of their own.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_))
    }

    /// Writes as much of the payload as goes, and gives how much.
    pub(crate) fn poll_write(
        &self,
        context: &mut Context<'_>,
        payload: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_framed(payload, |slices| self.socket.poll_write(context, slices))
    }

    /// Writes payload with what belongs around it.
    fn write_framed(
        &self,
        payload: &[IoSlice<'_>],
        mut write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let mut framing = self.framing.borrow_mut();
        if !framing.chunked && framing.before.is_empty() {
            return write(payload);
        }
        // A chunk of no bytes would be the last.
        if payload.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        loop {
            framing.begin_chunk(payload);
            let mut slices = [IoSlice::new(&[]); SLICES_MAX + 2];
            let count = framing.frame(payload, &mut slices);
            let written = ready!(write(&slices[..count]))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            match framing.advance(written) {
                0 => {}
                payload => return Poll::Ready(Ok(payload)),
            }
        }
    }

    /// Passes on to the kernel what is not payload, and what TLS holds.
    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut framing = self.framing.borrow_mut();
        while !framing.before.is_empty() {
            let written = ready!(self.socket.poll_write(context, &[IoSlice::new(&framing.before)]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            framing.advance(written);
        }
        self.socket.poll_flush(context)
    }

    /// Says that nothing more comes. A chunk that lacks something tells the client as well that it was cut off.
    pub(crate) async fn end(&self) -> io::Result<()> {
        self.framing.borrow_mut().end();
        poll_fn(|context| self.poll_flush(context)).await?;
        self.socket.shutdown().await
    }
}

impl Sink for Downstream {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.write_framed(slices, |slices| Poll::Ready(self.socket.try_write(slices))) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        let framing = self.framing.borrow();
        if framing.chunked || !framing.before.is_empty() {
            return None;
        }
        match &self.socket {
            Socket::Tcp(stream) => Some(stream.as_fd()),
            Socket::Tls(_) | Socket::Stream(_) => None,
        }
    }
}

impl Framing {
    /// Says how long the next chunk is: all of the payload.
    fn begin_chunk(&mut self, payload: &[IoSlice<'_>]) {
        if !self.chunked || self.left > 0 {
            return;
        }
        self.left = payload.iter().map(|slice| slice.len()).sum();
        self.before.reserve_exact(FRAMING_BYTES);
        // Writing into a vector does not fail.
        let _ = write!(self.before, "{:x}\r\n", self.left);
    }

    /// What is to be written now: what comes before, then payload, as far as the chunk goes, and then its end.
    fn frame<'a>(&'a self, payload: &'a [IoSlice<'a>], slices: &mut [IoSlice<'a>]) -> usize {
        slices[0] = IoSlice::new(&self.before);
        let mut count = 1;
        let mut left = if self.chunked { self.left } else { usize::MAX };
        for slice in payload.iter().take(SLICES_MAX) {
            let len = slice.len().min(left);
            slices[count] = IoSlice::new(&slice[..len]);
            count += 1;
            left -= len;
            if left == 0 {
                break;
            }
        }
        if left == 0 {
            slices[count] = IoSlice::new(CRLF);
            count += 1;
        }
        count
    }

    /// So many bytes have gone out; gives how many of them were payload.
    fn advance(&mut self, written: usize) -> usize {
        let before = written.min(self.before.len());
        self.before.drain(..before);
        if self.before.is_empty() && self.before.capacity() > FRAMING_BYTES {
            self.before = Vec::new();
        }
        let rest = written - before;
        if !self.chunked || self.left == 0 {
            return rest;
        }
        let payload = rest.min(self.left);
        self.left -= payload;
        if payload > 0 && self.left == 0 {
            self.before.extend_from_slice(&CRLF[rest - payload..]);
        }
        payload
    }

    fn end(&mut self) {
        if self.chunked && self.left == 0 {
            self.before.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

const CRLF: &[u8] = b"\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything is written, however little goes at once, and a reader of chunks gets the payload back.
    fn written(head: &str, payloads: &[Vec<Vec<u8>>], mut takes: impl FnMut() -> usize) -> Vec<u8> {
        let mut framing = Framing { chunked: true, before: head.into(), left: 0 };
        let mut out = Vec::new();
        for payload in payloads {
            let bytes = payload.concat();
            let mut at = 0;
            while at < bytes.len() {
                // What is left comes cut at the same places.
                let mut skip = at;
                let parts = payload.iter().map(|part| {
                    let skipped = skip.min(part.len());
                    skip -= skipped;
                    IoSlice::new(&part[skipped..])
                });
                let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
                framing.begin_chunk(&parts);
                let wire = {
                    let mut slices = [IoSlice::new(&[]); SLICES_MAX + 2];
                    let count = framing.frame(&parts, &mut slices);
                    slices[..count].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>()
                };
                let taken = takes().min(wire.len());
                out.extend_from_slice(&wire[..taken]);
                at += framing.advance(taken);
            }
        }
        framing.end();
        out.extend_from_slice(&framing.before);
        out
    }

    /// As RFC 9112, section 7.1.3, reads chunks.
    fn unchunked(mut wire: &[u8]) -> Vec<u8> {
        let mut payload = Vec::new();
        loop {
            let line = wire.windows(2).position(|two| two == CRLF).unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&wire[..line]).unwrap(), 16).unwrap();
            wire = &wire[line + 2..];
            payload.extend_from_slice(&wire[..size]);
            assert_eq!(&wire[size..size + 2], CRLF);
            wire = &wire[size + 2..];
            if size == 0 {
                assert!(wire.is_empty());
                return payload;
            }
        }
    }

    #[test]
    fn one_write_is_one_chunk() {
        let wire = written("HEAD ", &[vec![b"event".to_vec(), b"s".to_vec()]], || usize::MAX);
        assert_eq!(String::from_utf8(wire).unwrap(), "HEAD 6\r\nevents\r\n0\r\n\r\n");
    }

    proptest! {
        #[test]
        fn however_little_the_kernel_takes(
            payloads in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..80), 0..4),
            takes in proptest::collection::vec(1..30_usize, 1..20),
        ) {
            let mut takes = takes.into_iter().cycle();
            let wire = written("HEAD", &payloads, || takes.next().unwrap());
            prop_assert_eq!(unchunked(wire.strip_prefix(b"HEAD").unwrap()), payloads.concat().concat());
        }
    }
}
