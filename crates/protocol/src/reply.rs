//! What the gateway says to one client of JSON mode, as the text of one frame.
//!
//! Messages of a room are not here: they are the same for every member, see [`crate::encoded`].

use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::command::Ref;
use crate::encoded::message_json;
use crate::presence::{Member, listed};
use crate::{ConnectionId, Position, Publication, Room};

/// The class of an error, as `code` in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The command cannot be understood or has a wrong member.
    BadRequest,
    /// No or a bad token.
    Unauthorized,
    /// The token or the namespace does not allow it.
    Forbidden,
    /// What was named does not exist.
    NotFound,
    /// The payload is larger than its room takes.
    TooLarge,
    /// Too much in too short a time.
    RateLimited,
    /// The connection is in as many rooms as it may be.
    RoomLimit,
    /// The broker did not answer; trying again may help.
    Unavailable,
}

impl ErrorCode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::TooLarge,
        Self::RateLimited,
        Self::RoomLimit,
        Self::Unavailable,
    ];

    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::RateLimited => "rate_limited",
            Self::RoomLimit => "room_limit",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a subscription began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Verdict {
    /// Everything since the given position follows.
    pub resumed: bool,
    /// History could not cover the gap.
    pub missed: bool,
}

/// `welcome`: the first frame of a connection. `heartbeat_s` is how often, in seconds, a client that
/// cannot see WebSocket pings should send `ping`.
pub fn welcome(connection: ConnectionId, node: &str, user: Option<&str>, heartbeat_s: u64) -> Bytes {
    #[derive(Serialize)]
    struct Welcome<'a> {
        r#type: &'static str,
        connection: String,
        node: &'a str,
        user: Option<&'a str>,
        heartbeat: u64,
    }
    let connection = connection.to_string();
    text(&Welcome { r#type: "welcome", connection, node, user, heartbeat: heartbeat_s })
}

/// `subscribed`: the connection is a member of the room; `id` is the room's last position.
pub fn subscribed(room: &Room, id: Option<Position>, verdict: Verdict, reference: Option<&Ref>) -> Bytes {
    #[derive(Serialize)]
    struct Subscribed<'a> {
        r#type: &'static str,
        room: &'a str,
        id: Option<String>,
        #[serde(flatten)]
        verdict: Verdict,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a RawValue>,
    }
    let id = id.map(|position| position.to_string());
    text(&Subscribed { r#type: "subscribed", room: room.as_str(), id, verdict, r#ref: raw(reference) })
}

/// `unsubscribed`: the connection is not a member of the room any more.
pub fn unsubscribed(room: &Room, reference: Option<&Ref>) -> Bytes {
    #[derive(Serialize)]
    struct Unsubscribed<'a> {
        r#type: &'static str,
        room: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a RawValue>,
    }
    text(&Unsubscribed { r#type: "unsubscribed", room: room.as_str(), r#ref: raw(reference) })
}

/// `ok`: the broker has the message.
pub fn ok(id: Option<Position>, reference: Option<&Ref>) -> Bytes {
    #[derive(Serialize)]
    struct Done<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
    }
    text(&Done { r#type: "ok", r#ref: raw(reference), id: id.map(|position| position.to_string()) })
}

/// `pong`: the answer to `ping`.
pub fn pong(reference: Option<&Ref>) -> Bytes {
    #[derive(Serialize)]
    struct Pong<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a RawValue>,
    }
    text(&Pong { r#type: "pong", r#ref: raw(reference) })
}

/// `error`: the command was not carried out.
pub fn error(code: ErrorCode, message: &str, reference: Option<&Ref>) -> Bytes {
    #[derive(Serialize)]
    struct Failed<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a RawValue>,
        code: &'static str,
        message: &'a str,
    }
    text(&Failed { r#type: "error", r#ref: raw(reference), code: code.as_str(), message })
}

/// `goodbye`: the connection is about to be closed; come back after `reconnect_ms`.
pub fn goodbye(reason: &str, reconnect_ms: u64) -> Bytes {
    #[derive(Serialize)]
    struct Goodbye<'a> {
        r#type: &'static str,
        reason: &'a str,
        reconnect_ms: u64,
    }
    text(&Goodbye { r#type: "goodbye", reason, reconnect_ms })
}

/// `history`: a part of a room's history; `id` is the room's last position.
pub fn history(
    room: &Room,
    id: Option<Position>,
    messages: &[Publication],
    reference: Option<&Ref>,
) -> Bytes {
    #[derive(Serialize)]
    struct History<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a RawValue>,
        room: &'a str,
        id: Option<String>,
        messages: Vec<Box<RawValue>>,
    }
    let id = id.map(|position| position.to_string());
    let messages = messages.iter().filter_map(|message| {
        let json = String::from_utf8(message_json(message)).ok()?;
        RawValue::from_string(json).ok()
    });
    text(&History {
        r#type: "history",
        r#ref: raw(reference),
        room: room.as_str(),
        id,
        messages: messages.collect(),
    })
}

/// `members`: who is in a room; `total` is how many they are, all of whom may not be listed.
pub fn members(room: &Room, members: &[Member], reference: Option<&Ref>) -> Bytes {
    #[derive(Serialize)]
    struct Members<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        r#ref: Option<&'a RawValue>,
        room: &'a str,
        members: &'a [Member],
        total: usize,
    }
    text(&Members {
        r#type: "members",
        r#ref: raw(reference),
        room: room.as_str(),
        members: listed(members),
        total: members.len(),
    })
}

/// `presence`: members came and went.
pub fn presence(room: &Room, joined: &[Member], left: &[Member]) -> Bytes {
    #[derive(Serialize)]
    struct Presence<'a> {
        r#type: &'static str,
        room: &'a str,
        joined: &'a [Member],
        left: &'a [Member],
    }
    text(&Presence { r#type: "presence", room: room.as_str(), joined, left })
}

/// `reset`: messages of the room are missing, and history could not cover the gap.
pub fn reset(room: &Room) -> Bytes {
    #[derive(Serialize)]
    struct Reset<'a> {
        r#type: &'static str,
        room: &'a str,
    }
    text(&Reset { r#type: "reset", room: room.as_str() })
}

/// The data of SSE events that are about a room: `reset` and `unsubscribed`.
pub fn about_room(room: &Room) -> String {
    format!(r#"{{"room":"{room}"}}"#)
}

/// `dropped`: the client was too slow for this many messages of the room, here.
pub fn dropped(room: &Room, count: u64) -> Bytes {
    #[derive(Serialize)]
    struct Dropped<'a> {
        r#type: &'static str,
        room: &'a str,
        count: u64,
    }
    text(&Dropped { r#type: "dropped", room: room.as_str(), count })
}

/// The data of the SSE event `dropped`.
pub fn dropped_data(room: &Room, count: u64) -> String {
    format!(r#"{{"room":"{room}","count":{count}}}"#)
}

/// The data of the SSE event `connected`; rooms in the order of the request.
pub fn connected(
    connection: ConnectionId,
    node: &str,
    user: Option<&str>,
    rooms: &[(Room, Verdict)],
) -> Bytes {
    struct Rooms<'a>(&'a [(Room, Verdict)]);
    impl Serialize for Rooms<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(room, verdict)| (room.as_str(), verdict)))
        }
    }
    #[derive(Serialize)]
    struct Connected<'a> {
        connection: String,
        node: &'a str,
        user: Option<&'a str>,
        rooms: Rooms<'a>,
    }
    text(&Connected { connection: connection.to_string(), node, user, rooms: Rooms(rooms) })
}

/// A mark was cut out of a frame that parsed, so it is JSON; anything else would be left out.
fn raw(reference: Option<&Ref>) -> Option<&RawValue> {
    serde_json::from_slice(reference?).ok()
}

fn text(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("plain structs always serialise").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemberId, NodeId};

    const ID: ConnectionId = ConnectionId { node: NodeId(1), serial: 2 };

    #[track_caller]
    fn check(bytes: &Bytes, expected: &str) {
        assert_eq!(std::str::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn texts() {
        let room = Room::parse("a").unwrap();
        let reference = Ref::from_static(b"\"m1\"");
        let at = Position { epoch: 5, offset: 6 };
        check(
            &welcome(ID, "n", None, 25),
            r#"{"type":"welcome","connection":"0000000000000001-2","node":"n","user":null,"heartbeat":25}"#,
        );
        check(
            &subscribed(&room, None, Verdict::default(), Some(&reference)),
            r#"{"type":"subscribed","room":"a","id":null,"resumed":false,"missed":false,"ref":"m1"}"#,
        );
        check(&unsubscribed(&room, None), r#"{"type":"unsubscribed","room":"a"}"#);
        check(&ok(None, Some(&reference)), r#"{"type":"ok","ref":"m1"}"#);
        check(&ok(Some(at), None), r#"{"type":"ok","id":"5-6"}"#);
        check(&pong(None), r#"{"type":"pong"}"#);
        check(
            &error(ErrorCode::TooLarge, "a \"b\"", Some(&Ref::from_static(b"1"))),
            r#"{"type":"error","ref":1,"code":"too_large","message":"a \"b\""}"#,
        );
        check(&reset(&room), r#"{"type":"reset","room":"a"}"#);
        let alice = Member { id: MemberId::User("alice".into()), connections: 1, info: None };
        check(
            &members(&room, std::slice::from_ref(&alice), Some(&reference)),
            r#"{"type":"members","ref":"m1","room":"a","members":[{"user":"alice","connections":1}],"total":1}"#,
        );
        check(
            &presence(&room, &[alice], &[]),
            r#"{"type":"presence","room":"a","joined":[{"user":"alice","connections":1}],"left":[]}"#,
        );
        assert_eq!(about_room(&room), r#"{"room":"a"}"#);
        check(&dropped(&room, 3), r#"{"type":"dropped","room":"a","count":3}"#);
        assert_eq!(dropped_data(&room, 3), r#"{"room":"a","count":3}"#);
        check(&goodbye("drain", 250), r#"{"type":"goodbye","reason":"drain","reconnect_ms":250}"#);
        check(
            &connected(ID, "n", None, &[(room, Verdict { resumed: true, missed: false })]),
            r#"{"connection":"0000000000000001-2","node":"n","user":null,"rooms":{"a":{"resumed":true,"missed":false}}}"#,
        );
    }
}
