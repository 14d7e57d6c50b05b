//! The byte stream that a connection is without HTTP, read and written from two places of one task.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::limits::READ_BYTES;

thread_local! {
    /// Read into by all connections of a core, one at a time: an idle connection has no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Lends the buffer that the connections of a core read into.
pub(crate) fn with_scratch<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| read(scratch))
}

/// A stream that was taken over from HTTP.
pub(crate) enum Socket {
    /// The connection itself: HTTP/1.1 has let go of it, and of its buffers.
    Tcp(TcpStream),
    /// The same behind TLS.
    Tls(RefCell<Box<TlsStream<TcpStream>>>),
    /// One stream of an HTTP/2 connection.
    Stream(Box<RefCell<TokioIo<Upgraded>>>),
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<Box<TlsStream<TcpStream>>> for Socket {
    fn from(stream: Box<TlsStream<TcpStream>>) -> Self {
        Self::Tls(RefCell::new(stream))
    }
}

impl Socket {
    /// One stream of an HTTP/2 connection.
    pub(crate) fn of_stream(upgraded: Upgraded) -> Self {
        Self::Stream(Box::new(RefCell::new(TokioIo::new(upgraded))))
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
                match try_write(stream, slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            },
            Self::Tls(stream) => Pin::new(&mut *stream.borrow_mut()).poll_write_vectored(context, slices),
            Self::Stream(stream) => Pin::new(&mut *stream.borrow_mut()).poll_write_vectored(context, slices),
        }
    }

    /// Writes as much as goes at once; only to a plain connection.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => try_write(stream, slices),
            Self::Tls(_) | Self::Stream(_) => Err(io::ErrorKind::WouldBlock.into()),
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

fn try_write(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    // The kernel has less to do for one slice than for a list of one.
    match slices {
        [slice] => stream.try_write(slice),
        slices => stream.try_write_vectored(slices),
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
