//! A command of JSON mode: what is accepted is what was written, what is refused gets a short sentence.

use bytes::Bytes;
use roomcast_protocol::command::{Command, Request};
use roomcast_protocol::limits::{EVENT_BYTES_MAX, REF_BYTES_MAX, ROOM_BYTES_MAX};
use roomcast_protocol::{EventName, PayloadKind, Room, reply};
use serde_json::value::RawValue;

/// Longest sentence that answers a command, in bytes: it must not become a way to have large texts repeated.
const MESSAGE_BYTES_MAX: usize = 1024;

/// The text of one frame.
pub fn run(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    match Request::parse(&frame) {
        Ok(request) => {
            // A frame's text is UTF-8 before it comes here; what is no UTF-8 may only stand where nobody looks.
            let is_text = std::str::from_utf8(data).is_ok();
            assert!(!is_text || serde_json::from_slice::<&RawValue>(data).is_ok(), "a command is one JSON value");
            check_reference(request.reference.as_ref(), &frame);
            check_command(&request.command, &frame);
            check_reply(&reply::pong(request.reference.as_ref()));
        }
        Err(error) => {
            assert!(!error.message.is_empty());
            let len = error.message.len();
            assert!(len <= MESSAGE_BYTES_MAX, "an error of {len} bytes answers {} bytes", data.len());
            check_reference(error.reference.as_ref(), &frame);
            check_reply(&reply::error(error.code, &error.message, error.reference.as_ref()));
        }
    }
}

fn check_reference(reference: Option<&Bytes>, frame: &Bytes) {
    let Some(reference) = reference else { return };
    assert!(reference.len() <= REF_BYTES_MAX);
    assert_part_of(reference, frame);
    let text = std::str::from_utf8(reference).expect("a mark is text");
    // A number may be too large for a `Value`; it is returned as it was written.
    let raw: &RawValue = serde_json::from_str(text).expect("a mark is JSON");
    assert!(!raw.get().starts_with(['{', '[', 't', 'f', 'n']), "{text}");
}

fn check_command(command: &Command, frame: &Bytes) {
    match command {
        Command::Publish { room, event, payload, .. } => {
            check_room(room);
            if let Some(event) = event {
                assert!(event.as_str().len() <= EVENT_BYTES_MAX);
                assert_eq!(EventName::parse(event.as_str()), Ok(Some(event.clone())));
            }
            match payload.kind {
                PayloadKind::Json => {
                    assert_part_of(&payload.bytes, frame);
                    assert!(serde_json::from_slice::<&RawValue>(&payload.bytes).is_ok(), "data is JSON");
                }
                PayloadKind::Bytes => assert!(payload.bytes.len() <= frame.len()),
                other => panic!("a command cannot publish {other:?}"),
            }
        }
        Command::Subscribe { room, .. }
        | Command::Unsubscribe { room }
        | Command::History { room, .. }
        | Command::Presence { room } => check_room(room),
        Command::Auth { .. } | Command::Ping => {}
    }
}

fn check_room(room: &Room) {
    assert!((1..=ROOM_BYTES_MAX).contains(&room.as_str().len()));
    assert_eq!(Room::parse(room.as_str()).as_ref(), Ok(room));
}

/// It shares the memory of the frame: nothing was copied or printed anew.
fn assert_part_of(part: &Bytes, frame: &Bytes) {
    let (inner, outer) = (part.as_ptr_range(), frame.as_ptr_range());
    assert!(outer.start <= inner.start && inner.end <= outer.end);
}

/// The answer is the text of a frame: one JSON object, whatever the mark and the message.
fn check_reply(text: &Bytes) {
    assert!(text.starts_with(b"{"));
    // The number of a mark may be beyond what a `Value` can hold.
    assert!(serde_json::from_slice::<&RawValue>(text).is_ok());
}
