//! What a client may do: pure functions of the settings and of what the client is.

use std::sync::Arc;

use roomcast_protocol::{ConnectionId, ErrorCode, EventName, Payload, Publication, Room};

use crate::refusal::Refusal;
use crate::settings::{PublishRule, Settings};

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client<'a> {
    /// The signed-in user, if any.
    pub(crate) user: Option<&'a Arc<str>>,
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
    client: Client<'_>,
    room: &Room,
    joined: usize,
) -> Result<(), Refusal> {
    may_read(client, room)?;
    let limit = settings.rooms_per_connection;
    if joined >= limit {
        let message = format!("a connection may be in {limit} rooms at most; unsubscribe from one first");
        return Err(Refusal::new(ErrorCode::RoomLimit, message));
    }
    Ok(())
}

/// Whether the client may see the messages of `room`.
pub(crate) fn may_read(client: Client<'_>, room: &Room) -> Result<(), Refusal> {
    if let Some(owner) = room.owner()
        && client.user.is_none_or(|user| **user != *owner)
    {
        let message = format!("{room} is the personal room of a user, who alone may subscribe to it");
        return Err(Refusal::new(ErrorCode::Forbidden, message));
    }
    Ok(())
}

/// The publication that a draft becomes, if the client may publish it.
pub(crate) fn publication(
    settings: &Settings,
    client: Client<'_>,
    draft: Draft,
    now_us: u64,
) -> Result<Publication, Refusal> {
    let Draft { room, event, payload, echo } = draft;
    let namespace = settings.namespaces.of(&room);
    if namespace.publish == PublishRule::Server {
        let message = format!("only backend services may publish to {room}");
        return Err(Refusal::new(ErrorCode::Forbidden, message));
    }
    let (len, max) = (payload.bytes.len(), namespace.max_message_bytes);
    if len > max {
        let message = format!("a message of {room} may have {max} bytes at most, this one has {len}");
        return Err(Refusal::new(ErrorCode::TooLarge, message));
    }
    Ok(Publication {
        room,
        payload,
        event,
        position: None,
        user: client.user.cloned(),
        except: if echo { None } else { client.connection },
        published_us: Some(now_us),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::settings::{Namespace, Namespaces};
    use roomcast_protocol::NodeId;

    fn settings() -> Settings {
        let namespace =
            |max_message_bytes, publish| Namespace { max_message_bytes, publish, ..Namespace::default() };
        Settings {
            node: "n".into(),
            heartbeat: Duration::from_secs(30),
            sse_retry: Duration::from_secs(2),
            outbox_bytes: 1 << 20,
            rooms_per_connection: 2,
            namespaces: Namespaces {
                default: namespace(10, PublishRule::Anyone),
                named: [("news".to_owned(), namespace(10, PublishRule::Server))].into(),
            },
        }
    }

    const ID: ConnectionId = ConnectionId { node: NodeId(1), serial: 1 };

    fn draft(room: &str, len: usize, echo: bool) -> Draft {
        let payload = Payload::untyped(vec![b'x'; len]);
        Draft { room: Room::parse(room).unwrap(), event: None, payload, echo }
    }

    #[test]
    fn subscribing() {
        let alice: Arc<str> = "alice".into();
        let cases = [
            (None, "a", 0, None),
            (None, "a", 1, None),
            (None, "a", 2, Some(ErrorCode::RoomLimit)),
            (None, "@alice", 0, Some(ErrorCode::Forbidden)),
            (Some(&alice), "@alice", 0, None),
            (Some(&alice), "@bob", 0, Some(ErrorCode::Forbidden)),
            (Some(&alice), "@alice:x", 0, Some(ErrorCode::Forbidden)),
        ];
        for (user, room, joined, expected) in cases {
            let client = Client { user, connection: None };
            let result = may_subscribe(&settings(), client, &Room::parse(room).unwrap(), joined);
            assert_eq!(result.err().map(|refusal| refusal.code), expected, "{user:?} {room} {joined}");
        }
    }

    #[test]
    fn publishing() {
        let client = Client { user: None, connection: Some(ID) };
        let publish = |draft| publication(&settings(), client, draft, 7);
        assert_eq!(publish(draft("a", 10, false)).unwrap().except, Some(ID));
        assert_eq!(publish(draft("a", 10, true)).unwrap().except, None);
        assert_eq!(publish(draft("a", 11, true)).unwrap_err().code, ErrorCode::TooLarge);
        assert_eq!(publish(draft("news:1", 1, true)).unwrap_err().code, ErrorCode::Forbidden);
    }
}
