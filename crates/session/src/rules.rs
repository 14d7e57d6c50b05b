//! What a client may do: pure functions of the settings and of who the client is.

use roomcast_protocol::{ConnectionId, ErrorCode, EventName, Payload, Publication, Room};

use crate::auth::Identity;
use crate::refusal::Refusal;
use crate::settings::{PublishRule, Settings, SubscribeRule};

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client<'a> {
    /// Who it is, and what it is granted.
    pub(crate) identity: &'a Identity,
    /// The connection that would get the echo; none for a single HTTP request.
    pub(crate) connection: Option<ConnectionId>,
}

/// A message that a client wants to send.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) room: Room,
    pub(crate) event: Option<EventName>,
    pub(crate) payload: Payload,
    /// Whether the sender gets it, after all that was said about it.
    pub(crate) echo: bool,
}

/// Whether the client may become a member of `room`, being a member of `joined` others.
pub(crate) fn may_subscribe(
    settings: &Settings,
    identity: &Identity,
    room: &Room,
    joined: usize,
) -> Result<(), Refusal> {
    let rule = settings.namespaces.of(room).subscribe;
    let is_for_anyone = rule == SubscribeRule::Anyone && room.owner().is_none();
    if !is_for_anyone && !identity.grants.may_subscribe(room) {
        return Err(not_granted(identity, room, "subscribe to"));
    }
    let limit = settings.rooms_per_connection;
    // One's own room comes unasked.
    if joined >= limit && identity.user_room().as_ref() != Some(room) {
        let message = format!("a connection may be in {limit} rooms at most; unsubscribe from one first");
        return Err(Refusal::new(ErrorCode::RoomLimit, message));
    }
    Ok(())
}

/// Whether the client may read the old messages of `room`.
pub(crate) fn may_read_history(identity: &Identity, room: &Room) -> Result<(), Refusal> {
    if identity.grants.may_read_history(room) {
        return Ok(());
    }
    Err(not_granted(identity, room, "read the history of"))
}

/// Whether the client may know who is in `room`.
pub(crate) fn may_see_presence(settings: &Settings, identity: &Identity, room: &Room) -> Result<(), Refusal> {
    if !identity.grants.may_see_presence(room) {
        return Err(not_granted(identity, room, "see who is in"));
    }
    if !settings.namespaces.of(room).presence {
        let message = format!("it is not told who is in {room}: presence is off in its namespace");
        return Err(Refusal::new(ErrorCode::NotFound, message));
    }
    Ok(())
}

/// Whether the client may publish to `room` at all.
pub(crate) fn may_publish(settings: &Settings, identity: &Identity, room: &Room) -> Result<(), Refusal> {
    let may = match settings.namespaces.of(room).publish {
        PublishRule::Server => {
            let message = format!("only backend services may publish to {room}");
            return Err(Refusal::new(ErrorCode::Forbidden, message));
        }
        PublishRule::Anyone if room.owner().is_none() => true,
        PublishRule::Anyone | PublishRule::Token => identity.grants.may_publish(room),
    };
    if may { Ok(()) } else { Err(not_granted(identity, room, "publish to")) }
}

/// The publication that a draft becomes, if the client may publish it.
pub(crate) fn publication(
    settings: &Settings,
    client: Client<'_>,
    draft: Draft,
    now_us: u64,
) -> Result<Publication, Refusal> {
    let Draft { room, event, payload, echo } = draft;
    may_publish(settings, client.identity, &room)?;
    let (len, max) = (payload.bytes.len(), settings.namespaces.of(&room).max_message_bytes);
    if len > max {
        let message = format!("a message of {room} may have {max} bytes at most, this one has {len}");
        return Err(Refusal::new(ErrorCode::TooLarge, message));
    }
    Ok(Publication {
        room,
        payload,
        event,
        position: None,
        user: client.identity.user.clone(),
        except: if echo { None } else { client.connection },
        published_us: Some(now_us),
        trace: None,
    })
}

/// Without a token a client is asked for one; with one it is told that it is not enough.
fn not_granted(identity: &Identity, room: &Room, what: &str) -> Refusal {
    if identity.is_anonymous() {
        let message = format!("a token is needed to {what} {room}");
        return Refusal::new(ErrorCode::Unauthorized, message);
    }
    let message = match room.owner() {
        Some(_) => format!("only its user may {what} {room}, the personal room of a user"),
        None => format!("the token does not grant to {what} {room}"),
    };
    Refusal::new(ErrorCode::Forbidden, message)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
