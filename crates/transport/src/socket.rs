//! The byte stream under a WebSocket, read and written from two places of one task.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream that was taken over from HTTP.
pub(crate) enum Socket {
    /// The connection itself: HTTP/1.1 has let go of it, and of its buffers.
    Tcp(TcpStream),
    /// The same behind TLS.
    Tls(RefCell<Box<TlsStream<TcpStream>>>),
    /// One stream of an HTTP/2 connection.
    Stream(Box<RefCell<TokioIo<Upgraded>>>),
}

impl Socket {
    /// Takes over, and gives what the peer has sent already.
    pub(crate) fn take_over(upgraded: Upgraded) -> (Self, Bytes) {
        // What was read early is copied, because it lies in a large block.
        let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => return (Self::Tcp(parts.io.into_inner()), Bytes::copy_from_slice(&parts.read_buf)),
            Err(upgraded) => upgraded,
        };
        match upgraded.downcast::<TokioIo<Box<TlsStream<TcpStream>>>>() {
            Ok(parts) => {
                (Self::Tls(RefCell::new(parts.io.into_inner())), Bytes::copy_from_slice(&parts.read_buf))
            }
            Err(upgraded) => (Self::Stream(Box::new(RefCell::new(TokioIo::new(upgraded)))), Bytes::new()),
        }
    }

    /// Reads into `buffer`; 0 is the end.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => loop {
                ready!(stream.poll_read_ready(context))?;
                match stream.try_read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Tls(stream) => read(&mut *stream.borrow_mut(), context, buffer),
            Self::Stream(stream) => read(&mut *stream.borrow_mut(), context, buffer),
        }
    }

    /// Writes as much as goes. What is behind TLS may still wait here: [`poll_flush`](Self::poll_flush).
    pub(crate) fn poll_write(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => loop {
                ready!(stream.poll_write_ready(context))?;
                match stream.try_write_vectored(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Tls(stream) => Pin::new(&mut *stream.borrow_mut()).poll_write_vectored(context, slices),
            Self::Stream(stream) => Pin::new(&mut *stream.borrow_mut()).poll_write_vectored(context, slices),
        }
    }

    /// Passes on to the kernel what was written. Only TLS keeps something back: a record that the
    /// kernel has taken a part of.
    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tls(stream) => Pin::new(&mut *stream.borrow_mut()).poll_flush(context),
            Self::Tcp(_) | Self::Stream(_) => Poll::Ready(Ok(())),
        }
    }

    /// Tells the peer that nothing more comes.
    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => socket2::SockRef::from(stream).shutdown(std::net::Shutdown::Write),
            Self::Tls(stream) => {
                poll_fn(|context| Pin::new(&mut *stream.borrow_mut()).poll_shutdown(context)).await
            }
            Self::Stream(stream) => {
                poll_fn(|context| Pin::new(&mut *stream.borrow_mut()).poll_shutdown(context)).await
            }
        }
    }
}

fn read(
    stream: &mut (impl AsyncRead + Unpin),
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}
