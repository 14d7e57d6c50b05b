//! HTTP/1.1 until a stream begins: then hyper lets go of the connection, and of its buffers, which are many times what
//! an idle stream needs.
//!
//! The answer to a request that begins one is held back; with no answer under way the connection can be taken apart.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::io::{self, IoSlice, Write as _};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context as Task, Poll};
use std::time::SystemTime;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, DATE, HeaderValue, TRANSFER_ENCODING};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use roomcast_session::{Session, Sink};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::Body;
use crate::connection::{Begin, Context, Failure};
use crate::downstream::Downstream;
use crate::held::Held;
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::problem::Problem;
use crate::socket::Socket;
use crate::{router, sse, ws};

/// What goes on when HTTP has let go.
struct Stream {
    /// The head of the answer.
    head: Vec<u8>,
    chunked: bool,
    kind: StreamKind,
    held: Held,
}

enum StreamKind {
    WebSocket(Box<ws::Conversation>),
    Events(Box<Session>),
}

impl StreamKind {
    fn session(&self) -> &Session {
        match self {
            Self::WebSocket(conversation) => conversation.session(),
            Self::Events(session) => session,
        }
    }
}

/// Serves a connection; one that becomes a stream goes on as a task of its own.
pub(crate) async fn serve<S>(stream: S, begin: Begin, context: &Rc<Context>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    Socket: From<S>,
{
    let blocked = Rc::new(Cell::new(false));
    let parked = RefCell::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let version = request.version();
        let answering = router::answer(begin.mark(request), Rc::clone(context));
        let (begin, blocked, parked) = (&begin, &blocked, &parked);
        async move {
            let Ok(response) = answering.await;
            match stream_of(response, version, &begin.held, blocked.get()) {
                Ok(stream) => {
                    *parked.borrow_mut() = Some(stream);
                    pending().await
                }
                Err(response) => Ok::<_, Infallible>(*response),
            }
        }
    });
    let io = Watched { io: TokioIo::new(stream), blocked: Rc::clone(&blocked) };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(context.http.load().gate.headers)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(io, service);
    let ended = {
        let mut draining = pin!(context.draining.cancelled());
        let mut told = false;
        poll_fn(|task| {
            if !told && draining.as_mut().poll(task).is_ready() {
                told = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            match Pin::new(&mut connection).poll(task) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending if parked.borrow().is_some() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    };
    if let Some(result) = ended {
        return Ok(result?);
    }
    let parts = connection.into_parts();
    if let Some(stream) = parked.take() {
        let socket = Socket::from(parts.io.io.into_inner());
        context.tasks.spawn_local(stream.run(socket, parts.read_buf.to_vec()));
    }
    Ok(())
}

impl Stream {
    /// `early` is what the client has sent after its request.
    async fn run(self, socket: Socket, early: Vec<u8>) {
        let downstream = Rc::new(Downstream::new(socket, self.head, self.chunked));
        if downstream.is_direct() {
            let sink: Rc<dyn Sink> = downstream.clone();
            self.kind.session().write_directly(Rc::downgrade(&sink));
        }
        match self.kind {
            StreamKind::WebSocket(conversation) => conversation.run(&downstream, early).await,
            StreamKind::Events(session) => sse::run(&downstream, &session, early.len()).await,
        }
        drop(self.held);
    }
}

/// The stream that an answer begins, or the answer itself if it is for hyper to write.
fn stream_of(
    response: Response<Body>,
    version: Version,
    held: &Held,
    blocked: bool,
) -> Result<Stream, Box<Response<Body>>> {
    if blocked && response.body().is_web_socket() {
        // The rest of an earlier answer would be lost, which hyper has, and the peer has not taken.
        let problem = Problem::bad_request("read the last answer before you ask for a WebSocket");
        return Err(Box::new(problem.into_response()));
    }
    if blocked || !response.body().begins_stream() {
        return Err(Box::new(response));
    }
    let (mut head, body) = response.into_parts();
    let (body, held) = match body {
        Body::Holding(both) => *both,
        body => (body, held.clone()),
    };
    let kind = match body {
        Body::WebSocket(conversation) => StreamKind::WebSocket(conversation),
        Body::Stream(session) => StreamKind::Events(session),
        body => return Err(Box::new(Response::from_parts(head, body))),
    };
    let mut chunked = false;
    if matches!(kind, StreamKind::Events(_)) {
        // The end of the connection is the end of the stream where chunks are not known (RFC 9112, section 6.3).
        chunked = version == Version::HTTP_11;
        match chunked {
            true => head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
            false => head.headers.insert(CONNECTION, HeaderValue::from_static("close")),
        };
    }
    if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now())) {
        head.headers.insert(DATE, date);
    }
    Ok(Stream { head: written(&head, version), chunked, kind, held })
}

/// The head of an answer, as bytes (RFC 9112, sections 4 and 5).
fn written(head: &hyper::http::response::Parts, version: Version) -> Vec<u8> {
    let version = if version == Version::HTTP_11 { "1.1" } else { "1.0" };
    let reason = head.status.canonical_reason().unwrap_or_default();
    let mut bytes = Vec::with_capacity(256);
    // Writing into a vector does not fail.
    let _ = write!(bytes, "HTTP/{version} {} {reason}\r\n", head.status.as_u16());
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A connection that tells whether its peer keeps it waiting with something to write.
struct Watched<S> {
    io: TokioIo<S>,
    blocked: Rc<Cell<bool>>,
}

impl<S: AsyncRead + Unpin> hyper::rt::Read for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(task, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn watch<T>(&self, result: Poll<T>) -> Poll<T> {
        self.blocked.set(result.is_pending());
        result
    }
}

impl<S: AsyncWrite + Unpin> hyper::rt::Write for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(task, bytes);
        self.watch(result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(task)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write_vectored(task, slices);
        self.watch(result)
    }
}
