//! Response bodies: a few bytes, or an SSE stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use roomcast_session::Session;

use crate::held::Held;
use crate::ws::Conversation;

/// What the server answers with.
pub(crate) enum Body {
    /// All of it at once.
    Full(Option<Bytes>),
    /// What comes through an outbox, until the conversation ends.
    Stream(Box<Session>),
    /// Nothing: the connection goes on without HTTP.
    WebSocket(Box<Conversation>),
    /// Either, with what has to last as long.
    Holding(Box<(Body, Held)>),
}

impl Body {
    /// Whether more follows than an answer: events, or a WebSocket.
    pub(crate) fn begins_stream(&self) -> bool {
        match self {
            Self::Full(_) => false,
            Self::Stream(_) | Self::WebSocket(_) => true,
            Self::Holding(body) => body.0.begins_stream(),
        }
    }

    pub(crate) fn is_web_socket(&self) -> bool {
        match self {
            Self::Full(_) | Self::Stream(_) => false,
            Self::WebSocket(_) => true,
            Self::Holding(body) => body.0.is_web_socket(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let session = match self.get_mut() {
            Self::Full(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Holding(body) => return Pin::new(&mut body.0).poll_frame(context),
            Self::Stream(session) => session,
            Self::WebSocket(_) => return Poll::Ready(None),
        };
        let outbox = session.outbox();
        ready!(outbox.poll_ready(context));
        // Nothing although it is ready: the conversation is to end.
        Poll::Ready(outbox.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Stream(_) => false,
            Self::WebSocket(_) => true,
            Self::Holding(body) => body.0.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Stream(_) | Self::WebSocket(_) => SizeHint::default(),
            Self::Holding(body) => body.0.size_hint(),
        }
    }
}
