//! Server-Sent Events: what an EventSource reads is what was published, and nothing of it passes for anything else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roomcast_protocol::wire::sse::{PING, farewell, greeting};
use roomcast_protocol::{
    Cursor, EventName, Payload, PayloadKind, Position, Publication, Push, Room, WireForm,
};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::event_source::{Event, interpret};
use crate::settings;

/// One byte for the kind of payload and the id, one for the length of the event's name, then both.
pub fn run(data: &[u8]) {
    let ([flags, name_len], rest) = settings(data);
    let (name, payload) = rest.split_at(usize::from(name_len).min(rest.len()));
    let name = std::str::from_utf8(name).ok().and_then(|name| EventName::parse(name).ok()).flatten();
    let kind = [PayloadKind::Untyped, PayloadKind::Json, PayloadKind::Text, PayloadKind::Bytes][usize::from(flags & 3)];
    let publication = Publication {
        event: name,
        position: (flags & 4 != 0).then_some(Position { epoch: 7, offset: u64::from(flags) }),
        ..Publication::plain(Room::parse("room").expect("a name"), Payload::new(kind, payload.to_vec()))
    };
    let push = Push::new(publication);
    for form in [WireForm::Sse, WireForm::SseJson] {
        check_stream(&push, form, push.form(form), push.publication().position);
        check_stream(&push, form, push.form_without_id(form), None);
    }
}

/// A greeting, the event twice with a ping between them, and a farewell.
fn check_stream(push: &Push, form: WireForm, event: &[u8], id: Option<Position>) {
    let cursor = Cursor::single(Position { epoch: 1, offset: 1 });
    let begin = greeting(2000, Some(&cursor), b"{}");
    let end = farewell(3000, b"{}");
    let stream = [&begin, event, PING, event, &end].concat();
    let (events, retries) = interpret(&stream);
    assert_eq!(retries, [2000, 3000]);
    let [first, one, two, last] = &events[..] else { panic!("four events, not {events:#?}") };
    assert_eq!((&*first.event, &*first.data, &*first.id), ("connected", "{}", "1-1"));
    assert_eq!((&*last.event, &*last.data), ("goodbye", "{}"));
    assert_eq!(one, two);
    assert_eq!(one.id, id.map_or("1-1".to_owned(), |id| id.to_string()));
    let publication = push.publication();
    let name = publication.event.as_ref().map_or("message", EventName::as_str);
    match form {
        WireForm::SseJson => check_json(one, name, publication),
        _ => check_plain(one, name, publication),
    }
}

fn check_plain(event: &Event, name: &str, publication: &Publication) {
    let payload = &publication.payload;
    let text = std::str::from_utf8(&payload.bytes).ok().filter(|_| payload.kind != PayloadKind::Bytes);
    match text {
        Some(text) => {
            assert_eq!(event.event, name);
            // The one thing that the format cannot carry: which line end it was.
            assert_eq!(event.data, text.replace("\r\n", "\n").replace('\r', "\n"));
        }
        None => {
            assert_eq!(event.event, format!("{name};base64"));
            assert_eq!(STANDARD.decode(&event.data).as_deref(), Ok(&payload.bytes[..]));
        }
    }
}

fn check_json(event: &Event, name: &str, publication: &Publication) {
    assert_eq!(event.event, name);
    let payload = &publication.payload.bytes;
    let Ok(object) = serde_json::from_str::<Value>(&event.data) else {
        // Deep nesting and huge numbers are JSON, but no `Value`.
        assert!(serde_json::from_str::<&RawValue>(&event.data).is_ok(), "{}", event.data);
        assert!(serde_json::from_slice::<&RawValue>(payload).is_ok());
        return;
    };
    assert_eq!((&object["room"], &object["event"]), (&"room".into(), &name.into()));
    let is_json = matches!(publication.payload.kind, PayloadKind::Json | PayloadKind::Untyped);
    match (std::str::from_utf8(payload), serde_json::from_slice::<Value>(payload)) {
        _ if object.get("base64").is_some() => {
            let base64 = object["base64"].as_str().expect("a text");
            assert_eq!(STANDARD.decode(base64).as_deref(), Ok(&payload[..]));
        }
        (_, Ok(value)) if is_json => assert_eq!(object["data"], value),
        (Ok(text), _) => assert_eq!(object["data"], text),
        (Err(_), _) => panic!("bytes are sent as base64: {object}"),
    }
}
