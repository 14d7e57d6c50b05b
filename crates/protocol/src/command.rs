//! What a client of JSON mode (`roomcast.v1`) may say: one JSON object per text frame.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::EventName;
use crate::limits::REF_BYTES_MAX;
use crate::{ErrorCode, Payload, PayloadKind, Room};

/// How much of what a client wrote an error repeats, in characters: enough to know it again.
const SHOWN_CHARS_MAX: usize = 120;

/// The client's own mark of a command, returned in the answer: the JSON of a number or string, as
/// it was written.
pub type Ref = Bytes;

/// A command and its mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The mark, if one was given.
    pub reference: Option<Ref>,
    /// What is asked for.
    pub command: Command,
}

/// A text that must not appear in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a client may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Say who one is, at first or anew.
    Auth {
        /// The token, as it was given.
        token: Token,
    },
    /// Become a member of a room.
    Subscribe {
        /// Which room.
        room: Room,
        /// The id or cursor of the last message that the client has, as it was given.
        after: Option<String>,
        /// Whether the client wants to hear who is there, comes and goes.
        presence: bool,
    },
    /// Stop being a member of a room.
    Unsubscribe {
        /// Which room.
        room: Room,
    },
    /// Send a message to a room.
    Publish {
        /// Which room.
        room: Room,
        /// The message's name.
        event: Option<EventName>,
        /// What it carries.
        payload: Payload,
        /// Whether the sender gets its own message; the namespace decides where nothing is said.
        echo: Option<bool>,
        /// The idempotency key.
        key: Option<String>,
    },
    /// Read the history of a room.
    History {
        /// Which room.
        room: Room,
        /// The id of the last message that is not wanted, as it was given.
        after: Option<String>,
        /// How many messages.
        limit: Option<usize>,
    },
    /// Ask who is in a room.
    Presence {
        /// Which room.
        room: Room,
    },
    /// Ask whether anybody is there; also a sign of life.
    Ping,
}

/// Why a text is not a command, and the mark it carried if that much could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    /// The mark to return with the error.
    pub reference: Option<Ref>,
    /// The class of the error.
    pub code: ErrorCode,
    /// A sentence that tells the client's author what to change.
    pub message: String,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "ref", default, deserialize_with = "present")]
    reference: Option<&'a RawValue>,
    #[serde(borrow)]
    room: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    echo: Option<bool>,
    #[serde(borrow)]
    after: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    limit: Option<usize>,
    presence: Option<bool>,
    #[serde(borrow)]
    token: Option<Cow<'a, str>>,
}

/// A member that is there counts even if it is `null`: `"data":null` is a message.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Request {
    /// Reads one text frame. The payload of a publish shares the frame's memory.
    pub fn parse(frame: &Bytes) -> Result<Self, CommandError> {
        let fields: Fields<'_> = serde_json::from_slice(frame).map_err(|error| {
            bad(None, format!("not a command: {}; send one JSON object per frame", shown(&error.to_string())))
        })?;
        let reference = reference(frame, fields.reference)?;
        let kind = fields.kind.as_deref().unwrap_or_default();
        let result = match kind {
            "auth" => fields.auth(),
            "subscribe" => fields.subscribe(),
            "unsubscribe" => fields.room().map(|room| Command::Unsubscribe { room }),
            "publish" => fields.publish(frame),
            "history" => fields.history(),
            "presence" => fields.room().map(|room| Command::Presence { room }),
            "ping" => Ok(Command::Ping),
            "" => Err("the member \"type\" is missing".to_owned()),
            other => Err(unknown_type(other)),
        };
        match result {
            Ok(command) => Ok(Self { reference, command }),
            Err(message) => Err(bad(reference, message)),
        }
    }
}

impl Fields<'_> {
    fn room(&self) -> Result<Room, String> {
        let name = self.room.as_deref().ok_or("the member \"room\" is missing")?;
        Room::parse(name).map_err(|error| error.to_string())
    }

    fn auth(&self) -> Result<Command, String> {
        let token = self.token.as_deref().ok_or("the member \"token\" is missing")?;
        Ok(Command::Auth { token: Token(token.to_owned()) })
    }

    fn subscribe(&self) -> Result<Command, String> {
        let after = self.after.as_deref().map(str::to_owned);
        Ok(Command::Subscribe { room: self.room()?, after, presence: self.presence.unwrap_or(false) })
    }

    fn publish(&self, frame: &Bytes) -> Result<Command, String> {
        let event = EventName::parse(self.event.as_deref().unwrap_or_default()).map_err(|e| e.to_string())?;
        let key = self.key.as_deref().map(str::to_owned);
        Ok(Command::Publish {
            room: self.room()?,
            event,
            payload: self.payload(frame)?,
            echo: self.echo,
            key,
        })
    }

    fn history(&self) -> Result<Command, String> {
        let after = self.after.as_deref().map(str::to_owned);
        Ok(Command::History { room: self.room()?, after, limit: self.limit })
    }

    fn payload(&self, frame: &Bytes) -> Result<Payload, String> {
        match (self.data, &self.base64) {
            (Some(data), None) => Ok(Payload::new(PayloadKind::Json, frame.slice_ref(data.get().as_bytes()))),
            (None, Some(text)) => {
                let bytes = STANDARD.decode(text.as_bytes()).map_err(|e| format!("\"base64\": {e}"))?;
                Ok(Payload::new(PayloadKind::Bytes, bytes))
            }
            (None, None) => Err("a publish needs \"data\" (any JSON) or \"base64\" (bytes)".to_owned()),
            (Some(_), Some(_)) => Err("a publish takes \"data\" or \"base64\", not both".to_owned()),
        }
    }
}

fn reference(frame: &Bytes, raw: Option<&RawValue>) -> Result<Option<Ref>, CommandError> {
    let Some(raw) = raw else { return Ok(None) };
    let text = raw.get();
    let scalar = text.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit());
    if !scalar {
        return Err(bad(None, "\"ref\" must be a number or a string".to_owned()));
    }
    if text.len() > REF_BYTES_MAX {
        return Err(bad(None, format!("\"ref\" may have {REF_BYTES_MAX} bytes at most")));
    }
    Ok(Some(frame.slice_ref(text.as_bytes())))
}

fn unknown_type(kind: &str) -> String {
    let kind = shown(kind);
    format!(
        "unknown type {kind:?}; known are auth, subscribe, unsubscribe, publish, history, presence and ping"
    )
}

/// The beginning of a text that holds what a client wrote: an error must not repeat all of it.
fn shown(text: &str) -> &str {
    text.char_indices().nth(SHOWN_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

fn bad(reference: Option<Ref>, message: String) -> CommandError {
    CommandError { reference, code: ErrorCode::BadRequest, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Request, CommandError> {
        Request::parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    fn room(name: &str) -> Room {
        Room::parse(name).unwrap()
    }

    #[test]
    fn commands() {
        let subscribe = parse(r#"{"type":"subscribe","room":"a","ref":7}"#).unwrap();
        assert_eq!(subscribe.reference.as_deref(), Some(&b"7"[..]));
        assert_eq!(subscribe.command, Command::Subscribe { room: room("a"), after: None, presence: false });
        let subscribe = parse(r#"{"type":"subscribe","room":"a","presence":true}"#).unwrap();
        assert_eq!(subscribe.command, Command::Subscribe { room: room("a"), after: None, presence: true });
        let presence = parse(r#"{"type":"presence","room":"a"}"#).unwrap();
        assert_eq!(presence.command, Command::Presence { room: room("a") });

        let publish =
            parse(r#"{"data": {"x": [1, 2]} ,"room":"a:\u0062","event":"e","type":"publish","echo":false}"#);
        assert_eq!(
            publish.unwrap().command,
            Command::Publish {
                room: room("a:b"),
                event: EventName::parse("e").unwrap(),
                payload: Payload::new(PayloadKind::Json, r#"{"x": [1, 2]}"#),
                echo: Some(false),
                key: None,
            }
        );
        assert_eq!(parse(r#"{"type":"ping","new":1}"#).unwrap().command, Command::Ping);
    }

    #[test]
    fn payloads() {
        let payload = |text: &str| match parse(text).unwrap().command {
            Command::Publish { payload, .. } => payload,
            other => panic!("{other:?}"),
        };
        let null = payload(r#"{"type":"publish","room":"a","data":null}"#);
        assert_eq!(null, Payload::new(PayloadKind::Json, "null"));
        let bytes = payload(r#"{"type":"publish","room":"a","base64":"AP8="}"#);
        assert_eq!(bytes, Payload::new(PayloadKind::Bytes, &b"\x00\xff"[..]));
    }

    #[test]
    fn every_refusal_says_what_to_change() {
        let cases = [
            ("", "not a command"),
            ("[]", "not a command"),
            ("{\"type\":\"ping\"} x", "not a command"),
            ("{\"type\":\"ping\"", "not a command"),
            (r#"{"room":"a"}"#, "\"type\" is missing"),
            (r#"{"type":"shout"}"#, "unknown type \"shout\""),
            (r#"{"type":"auth"}"#, "\"token\" is missing"),
            (r#"{"type":"subscribe"}"#, "\"room\" is missing"),
            (r#"{"type":"subscribe","room":""}"#, "must not be empty"),
            (r#"{"type":"subscribe","room":"a b"}"#, "A-Z a-z 0-9"),
            (r#"{"type":"subscribe","room":5}"#, "not a command"),
            (r#"{"type":"publish","room":"a"}"#, "needs \"data\""),
            (r#"{"type":"publish","room":"a","data":1,"base64":""}"#, "not both"),
            (r#"{"type":"publish","room":"a","base64":"!"}"#, "\"base64\""),
            (r#"{"type":"publish","room":"a","data":1,"event":"a\nb"}"#, "control characters"),
            (r#"{"type":"ping","ref":{}}"#, "number or a string"),
            (r#"{"type":"ping","ref":null}"#, "number or a string"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.message.contains(expected), "{text}: {}", error.message);
            assert_eq!(error.code, ErrorCode::BadRequest);
        }
        let long = format!(r#"{{"type":"ping","ref":"{}"}}"#, "x".repeat(REF_BYTES_MAX));
        assert!(parse(&long).unwrap_err().message.contains("256 bytes"));
    }

    #[test]
    fn errors_do_not_repeat_long_texts() {
        let long = "é".repeat(100_000);
        for text in [
            format!(r#"{{"type":"history","room":"a","limit":"{long}"}}"#),
            format!(r#"{{"type":"{long}"}}"#),
            format!(r#"{{"type":"ping","echo":"{long}"}}"#),
        ] {
            let message = parse(&text).unwrap_err().message;
            assert!(message.len() < 1024 && message.contains("éé"), "{} bytes", message.len());
        }
    }

    #[test]
    fn an_error_keeps_the_mark() {
        let error = parse(r#"{"ref":"m","type":"subscribe","room":"a b"}"#).unwrap_err();
        assert_eq!(error.reference.as_deref(), Some(&b"\"m\""[..]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Request::parse(&Bytes::from(bytes));
        }
    }
}
