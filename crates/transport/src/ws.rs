//! `GET /ws`: from the handshake to the last close frame.

mod read;

use std::pin::pin;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use roomcast_protocol::wire::ws_frame;
use roomcast_protocol::wire::ws_reader::FrameReader;
use roomcast_protocol::{Close, WireForm};
use roomcast_session::{Compression, Refusal, Session};
use tokio::time::timeout;
use tracing::debug;

use crate::body::Body;
use crate::connect::TurnedAway;
use crate::connection::Context;
use crate::credentials;
use crate::downstream::Downstream;
use crate::handshake;
use crate::held::Held;
use crate::limits::CLOSE_LIMIT;
use crate::problem::Problem;
use crate::query::Query;
use crate::socket::Socket;
use crate::writer::{write_last, write_queued};
use read::{PeerEnd, drain, read_loop};

/// A WebSocket whose handshake is accepted, and which waits for its connection.
pub(crate) struct Conversation {
    session: Session,
    message_bytes_max: usize,
    /// Messages may be compressed.
    deflate: bool,
}

/// Accepts a WebSocket. Rooms in the URL are joined before the answer, so that a client that is
/// connected is a member.
pub(crate) async fn open(
    mut request: Request<Incoming>,
    context: &Rc<Context>,
) -> Result<Response<Body>, Problem> {
    let json = handshake::wants_json(&request)?;
    let over_http2 = request.method() == Method::CONNECT;
    let on_upgrade = over_http2.then(|| hyper::upgrade::on(&mut request));
    let held = request.extensions_mut().remove::<Held>();
    let deflate = context.core.compression().map(Compression::settings);
    let (mut response, agreement) = match handshake::accept(&mut request, json, deflate) {
        Ok(accepted) => accepted,
        Err(problem) => {
            let mut response: Response<Body> = problem.into_response();
            if response.status() == StatusCode::UPGRADE_REQUIRED {
                handshake::add_upgrade_headers(response.headers_mut());
            }
            return Ok(response);
        }
    };
    let query = Query::parse(request.uri())?;
    if !json && query.rooms.len() > 1 {
        return Err(Problem::bad_request(
            "raw mode takes one room; ask for the subprotocol roomcast.v1 to be in several",
        ));
    }
    if context.draining.is_cancelled() {
        return Err(Problem::unavailable("this node is shutting down; connect again"));
    }
    let form = if json { WireForm::WebSocketJson } else { WireForm::WebSocketRaw };
    let session = match begin(&request, &query, form, context).await {
        Ok(session) => session,
        // Of an error over HTTP a page in a browser learns nothing; the code of a close it can read.
        Err(refusal) => match refusal.close() {
            Some(close) => {
                response.extensions_mut().insert(TurnedAway);
                Session::ended(&context.core, form, close)
            }
            None => return Err(refusal.into()),
        },
    };

    let settings = context.core.settings();
    let message_bytes_max = match query.rooms.first() {
        Some(room) if !json => settings.namespaces.of(room).max_message_bytes,
        _ => settings.json_frame_bytes_max(),
    };
    if let Some(agreement) = agreement {
        session.compress(agreement.window);
    }
    if !json && query.rooms.is_empty() {
        session.outbox().close(Close::ROOM_REQUIRED);
    }
    if !session.outbox().is_closing() {
        session.greet(query.after(request.headers())).await?;
    }
    let conversation = Conversation { session, message_bytes_max, deflate: agreement.is_some() };
    let Some(on_upgrade) = on_upgrade else {
        return Ok(response.map(|_| Body::WebSocket(Box::new(conversation))));
    };
    context.tasks.spawn_local(over_http2_stream(on_upgrade, conversation, held));
    Ok(response)
}

async fn begin(
    request: &Request<Incoming>,
    query: &Query,
    form: WireForm,
    context: &Context,
) -> Result<Session, Refusal> {
    let identity = credentials::admit(request, query, context).await?;
    Session::begin(&context.core, form, query.echo, &query.rooms, identity).await
}

async fn over_http2_stream(on_upgrade: OnUpgrade, conversation: Conversation, held: Option<Held>) {
    match on_upgrade.await {
        Ok(upgraded) => {
            let downstream = Downstream::new(Socket::of_stream(upgraded), Vec::new(), false);
            conversation.run(&downstream, Vec::new()).await;
        }
        Err(error) => debug!(%error, "a client was gone before its handshake ended"),
    }
    drop(held);
}

impl Conversation {
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Reads and writes until one side is through, then ends in order (RFC 6455, section 7.1): our
    /// close frame goes out, the peer's comes in, each within a limit. `early` has come with the handshake.
    pub(crate) async fn run(&self, downstream: &Downstream, mut early: Vec<u8>) {
        let session = &self.session;
        let mut reader = FrameReader::new(self.message_bytes_max);
        if self.deflate {
            reader = reader.with_deflate();
        }
        let early = read::parse(&mut early, &mut reader);
        let mut writing = pin!(write_queued(downstream, session.outbox()));
        let (close, peer_end) = tokio::select! {
            biased;
            written = &mut writing => match written {
                Ok(close) => (close, None),
                Err(_) => return,
            },
            end = read_loop(downstream, early, session, &mut reader) => match end {
                PeerEnd::Gone => return,
                // Boxed, as everything that an idle connection does not need.
                end => match Box::pin(timeout(CLOSE_LIMIT, writing)).await {
                    Ok(Ok(close)) => (close, Some(end)),
                    _ => return,
                },
            },
        };
        let peer_closed = peer_end == Some(PeerEnd::Closed);
        Box::pin(self.end(downstream, &close, peer_closed, &mut reader)).await;
    }

    async fn end(&self, downstream: &Downstream, close: &Close, peer_closed: bool, reader: &mut FrameReader) {
        let frame = if close.code == 1005 { ws_frame::close_without_code() } else { ws_frame::close(close) };
        self.session.core().stats().closed(close.code);
        if write_last(downstream, frame).await.is_err() {
            return;
        }
        // Behind TLS this writes, and a peer that does not read would make it last.
        if timeout(CLOSE_LIMIT, downstream.end()).await.is_err() {
            return;
        }
        if !peer_closed {
            // Reading on keeps the kernel from answering late data with a reset, which would
            // take our close frame away from the peer.
            let _ = timeout(CLOSE_LIMIT, drain(downstream, &self.session, reader)).await;
        }
    }
}
