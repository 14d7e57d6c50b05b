//! `GET /ws`: from the handshake to the last close frame.

mod read;
mod write;

use std::pin::pin;
use std::rc::Rc;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use roomcast_protocol::wire::ws_reader::FrameReader;
use roomcast_protocol::{Close, WireForm};
use roomcast_session::{Refusal, Session};
use tokio::time::timeout;
use tracing::debug;

use crate::body::Body;
use crate::connect::TurnedAway;
use crate::connection::Context;
use crate::credentials;
use crate::handshake;
use crate::held::Held;
use crate::limits::CLOSE_LIMIT;
use crate::problem::Problem;
use crate::query::Query;
use crate::socket::Socket;
use read::{PeerEnd, drain, read_loop};
use write::write_loop;

/// Accepts a WebSocket. Rooms in the URL are joined before the answer, so that a client that is
/// connected is a member.
pub(crate) async fn open(
    mut request: Request<Incoming>,
    context: &Rc<Context>,
) -> Result<Response<Body>, Problem> {
    let json = handshake::wants_json(&request)?;
    let on_upgrade = hyper::upgrade::on(&mut request);
    let held = request.extensions_mut().remove::<Held>();
    let mut response = match handshake::accept(&mut request, json) {
        Ok(response) => response,
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
    if !json && query.rooms.is_empty() {
        session.outbox().close(Close::ROOM_REQUIRED);
    }
    if !session.outbox().is_closing() {
        session.greet(query.after.as_deref()).await?;
    }
    context.tasks.spawn_local(async move {
        converse(on_upgrade, session, message_bytes_max).await;
        drop(held);
    });
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

async fn converse(on_upgrade: OnUpgrade, session: Session, message_bytes_max: usize) {
    let (socket, early) = match on_upgrade.await {
        Ok(upgraded) => Socket::take_over(upgraded),
        Err(error) => return debug!(%error, "a client was gone before its handshake ended"),
    };
    let reader = FrameReader::new(message_bytes_max);
    exchange(&socket, early, &session, reader).await;
}

/// Reads and writes until one side is through, then ends in order (RFC 6455, section 7.1): our
/// close frame goes out, the peer's comes in, each within a limit.
async fn exchange(socket: &Socket, early: Bytes, session: &Session, mut reader: FrameReader) {
    let mut writing = pin!(write_loop(socket, session));
    let peer_end = tokio::select! {
        biased;
        written = &mut writing => match written {
            Ok(()) => None,
            Err(_) => return,
        },
        end = read_loop(socket, early, session, &mut reader) => Some(end),
    };
    let peer_closed = match peer_end {
        Some(PeerEnd::Gone) => return,
        Some(end) => {
            if !matches!(timeout(CLOSE_LIMIT, writing).await, Ok(Ok(()))) {
                return;
            }
            matches!(end, PeerEnd::Closed)
        }
        None => false,
    };
    // Behind TLS this writes, and a peer that does not read would make it last.
    if timeout(CLOSE_LIMIT, socket.shutdown()).await.is_err() {
        return;
    }
    if !peer_closed {
        // Reading on keeps the kernel from answering late data with a reset, which would
        // take our close frame away from the peer.
        let _ = timeout(CLOSE_LIMIT, drain(socket, session, &mut reader)).await;
    }
}
