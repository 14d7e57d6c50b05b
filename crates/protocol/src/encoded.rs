//! One message in the bytes of each wire, made once and shared by every member of its room.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::payload::View;
use crate::wire::deflate::Window;
use crate::wire::{sse, ws_frame};
use crate::{Position, Publication, event};

/// How a client wants its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireForm {
    /// One WebSocket frame with the payload, verbatim.
    WebSocketRaw,
    /// One WebSocket text frame with a JSON object.
    WebSocketJson,
    /// One SSE event with the payload as data.
    Sse,
    /// One SSE event with the JSON object as data.
    SseJson,
    /// The JSON object alone, for the list in the answer to a long-poll.
    Poll,
}

impl WireForm {
    /// Every form; the place of each is its number.
    pub const ALL: [Self; 5] =
        [Self::WebSocketRaw, Self::WebSocketJson, Self::Sse, Self::SseJson, Self::Poll];
    /// How many forms there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Whether it is a stream of Server-Sent Events.
    pub fn is_sse(self) -> bool {
        matches!(self, Self::Sse | Self::SseJson)
    }

    /// Whether it is a WebSocket's; these are the first two.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocketRaw | Self::WebSocketJson)
    }

    /// A short name for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocketRaw => "websocket_raw",
            Self::WebSocketJson => "websocket_json",
            Self::Sse => "sse",
            Self::SseJson => "sse_json",
            Self::Poll => "poll",
        }
    }
}

/// A publication and its wire forms, each made when it is first asked for, at most once a node.
#[derive(Debug)]
pub struct Push {
    publication: Publication,
    forms: [OnceLock<Bytes>; WireForm::COUNT],
    /// Of SSE streams over several rooms, whose ids are their own.
    without_id: [OnceLock<Bytes>; WireForm::COUNT],
    /// Of WebSockets that have agreed on compression.
    compressed: [OnceLock<Bytes>; COMPRESSED_COUNT],
}

/// How many compressed forms a message has: raw and JSON, for each window.
pub const COMPRESSED_COUNT: usize = 2 * Window::COUNT;

/// The place of a compressed form among these; none where a form is never compressed.
pub fn compressed_place(form: WireForm, window: Window) -> Option<usize> {
    form.is_websocket().then_some(2 * window as usize + form as usize)
}

impl Push {
    /// Wraps a publication; nothing is encoded yet.
    pub fn new(publication: Publication) -> Self {
        Self {
            publication,
            forms: Default::default(),
            without_id: Default::default(),
            compressed: Default::default(),
        }
    }

    /// The message itself.
    pub fn publication(&self) -> &Publication {
        &self.publication
    }

    /// The bytes of one wire form.
    pub fn form(&self, form: WireForm) -> &Bytes {
        self.forms[form as usize].get_or_init(|| encode(&self.publication, form))
    }

    /// The bytes of one wire form for clients that take compressed messages. `compress` makes them of the plain ones, or
    /// gives `None` where these do better.
    pub fn compressed_form(
        &self,
        form: WireForm,
        window: Window,
        compress: impl FnOnce(&Bytes) -> Option<Bytes>,
    ) -> &Bytes {
        let Some(place) = compressed_place(form, window) else { return self.form(form) };
        self.compressed[place].get_or_init(|| {
            let plain = self.form(form);
            compress(plain).unwrap_or_else(|| plain.clone())
        })
    }

    /// The bytes of one wire form, without the `id:` field of an SSE event.
    pub fn form_without_id(&self, form: WireForm) -> &Bytes {
        if !form.is_sse() || self.publication.position.is_none() {
            return self.form(form);
        }
        self.without_id[form as usize].get_or_init(|| encode_sse(&self.publication, form, None))
    }
}

fn encode(publication: &Publication, form: WireForm) -> Bytes {
    match form {
        WireForm::WebSocketRaw => websocket_raw(publication),
        WireForm::WebSocketJson => ws_frame::text(&message_json(publication)),
        WireForm::Sse | WireForm::SseJson => encode_sse(publication, form, publication.position),
        WireForm::Poll => message_json(publication).into(),
    }
}

fn encode_sse(publication: &Publication, form: WireForm, id: Option<Position>) -> Bytes {
    match form {
        WireForm::SseJson => sse_json(publication, id),
        _ => sse_plain(publication, id),
    }
}

fn websocket_raw(publication: &Publication) -> Bytes {
    match publication.payload.as_text() {
        Some(text) => ws_frame::text(text.as_bytes()),
        None => ws_frame::binary(&publication.payload.bytes),
    }
}

fn sse_plain(publication: &Publication, id: Option<Position>) -> Bytes {
    let event = publication.event.as_ref().map(event::EventName::as_str);
    match publication.payload.as_text() {
        Some(text) => sse::event(event, id, text),
        None => {
            let event = format!("{};base64", event.unwrap_or(event::DEFAULT));
            sse::event(Some(&event), id, &STANDARD.encode(&publication.payload.bytes))
        }
    }
}

fn sse_json(publication: &Publication, id: Option<Position>) -> Bytes {
    let event = publication.event.as_ref().map(event::EventName::as_str);
    let json = message_json(publication);
    sse::event(event, id, &String::from_utf8_lossy(&json))
}

/// The object of a message: `{"type":"message","room":…,"event":…,"data":…,"id":?,"user":?}`, with
/// `"base64"` in place of `"data"` where the payload is not text. JSON payloads stand in it as they
/// were written.
pub fn message_json(publication: &Publication) -> Vec<u8> {
    #[derive(Serialize)]
    struct Message<'a> {
        r#type: &'static str,
        room: &'a str,
        event: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Data<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<&'a str>,
    }
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Data<'a> {
        Json(&'a RawValue),
        Text(&'a str),
    }
    let (data, base64) = match publication.payload.view() {
        View::Json(text) => (serde_json::from_str(text).ok().map(Data::Json), None),
        View::Text(text) => (Some(Data::Text(text)), None),
        View::Bytes(bytes) => (None, Some(STANDARD.encode(bytes))),
    };
    let message = Message {
        r#type: "message",
        room: publication.room.as_str(),
        event: publication.event.as_ref().map_or(event::DEFAULT, event::EventName::as_str),
        data,
        base64,
        id: publication.position.map(|position| position.to_string()),
        user: publication.user.as_deref(),
    };
    serde_json::to_vec(&message).expect("plain structs always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventName, Payload, PayloadKind, Room};

    fn publication(payload: Payload) -> Publication {
        Publication::plain(Room::parse("r").unwrap(), payload)
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn json_payloads_stand_as_written() {
        let mut p = publication(Payload::untyped("{\"b\": 1.50,\n \"b\":2}"));
        p.event = EventName::parse("e").unwrap();
        p.position = Some(Position { epoch: 1, offset: 2 });
        p.user = Some("u".into());
        let expected = "{\"type\":\"message\",\"room\":\"r\",\"event\":\"e\",\"data\":{\"b\": 1.50,\n \"b\":2},\"id\":\"1-2\",\"user\":\"u\"}";
        assert_eq!(text(&message_json(&p)), expected);
    }

    #[test]
    fn text_and_bytes() {
        let p = publication(Payload::new(PayloadKind::Text, "1 \"x\""));
        assert_eq!(
            text(&message_json(&p)),
            r#"{"type":"message","room":"r","event":"message","data":"1 \"x\""}"#
        );
        let p = publication(Payload::untyped(&b"\xff\x00"[..]));
        assert_eq!(
            text(&message_json(&p)),
            r#"{"type":"message","room":"r","event":"message","base64":"/wA="}"#
        );
        assert_eq!(text(Push::new(p).form(WireForm::Sse)), "event: message;base64\ndata: /wA=\n\n");
    }

    #[test]
    fn raw_frames_keep_the_kind() {
        let frame = |payload| Push::new(publication(payload)).form(WireForm::WebSocketRaw).to_vec();
        assert_eq!(frame(Payload::untyped("hi")), [0x81, 2, b'h', b'i']);
        assert_eq!(frame(Payload::untyped(&b"\xff"[..])), [0x82, 1, 0xff]);
        assert_eq!(frame(Payload::new(PayloadKind::Bytes, "hi")), [0x82, 2, b'h', b'i']);
        assert_eq!(frame(Payload::untyped("")), [0x81, 0]);
    }

    #[test]
    fn streams_with_ids_of_their_own() {
        let position = Some(Position { epoch: 1, offset: 2 });
        let push = Push::new(Publication { position, ..publication(Payload::untyped("x")) });
        assert_eq!(text(push.form(WireForm::Sse)), "id: 1-2\ndata: x\n\n");
        assert_eq!(text(push.form_without_id(WireForm::Sse)), "data: x\n\n");
        assert!(!text(push.form_without_id(WireForm::SseJson)).starts_with("id:"));
    }

    #[test]
    fn each_form_is_made_once() {
        let push = Push::new(publication(Payload::untyped("x")));
        for (number, form) in WireForm::ALL.into_iter().enumerate() {
            assert_eq!(form as usize, number);
            assert_eq!(push.form(form).as_ptr(), push.form(form).as_ptr());
        }
    }

    #[test]
    fn compressed_forms_are_made_once_of_websockets_only() {
        let push = Push::new(publication(Payload::untyped("x")));
        let mut made = Vec::new();
        for (form, window) in WireForm::ALL.into_iter().flat_map(|form| Window::ALL.map(|w| (form, w))) {
            let name = format!("{form:?} {window:?}");
            for _ in 0..2 {
                let bytes = push.compressed_form(form, window, |plain| {
                    assert_eq!(plain, push.form(form));
                    made.push(name.clone());
                    Some(Bytes::from(name.clone()))
                });
                assert_eq!(*bytes == name, form.is_websocket(), "{name}");
            }
        }
        let expected = [
            "WebSocketRaw Configured",
            "WebSocketRaw Small",
            "WebSocketRaw Smallest",
            "WebSocketJson Configured",
            "WebSocketJson Small",
            "WebSocketJson Smallest",
        ];
        assert_eq!(made, expected);
        let push = Push::new(publication(Payload::untyped("y")));
        let same = push.compressed_form(WireForm::WebSocketRaw, Window::Smallest, |_| None);
        assert_eq!(same.as_ptr(), push.form(WireForm::WebSocketRaw).as_ptr());
    }
}
