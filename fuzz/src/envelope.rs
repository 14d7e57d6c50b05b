//! What gateways publish to each other: what is read can be written and read again, with the payload as it was.

use bytes::Bytes;
use roomcast_broker_redis::fuzzing::{decode_envelope, encode_envelope};
use roomcast_protocol::{EventName, PayloadKind, Push, Room, WireForm};

/// Bytes of a channel of gateways.
pub fn run(data: &[u8]) {
    let room = Room::parse("room").expect("a name");
    let bytes = Bytes::copy_from_slice(data);
    let Some(publication) = decode_envelope(room.clone(), bytes) else { return };
    assert!(data.ends_with(&publication.payload.bytes), "the payload is verbatim");
    if let Some(event) = &publication.event {
        assert_eq!(EventName::parse(event.as_str()), Ok(Some(event.clone())));
    }
    assert!(publication.user.as_deref() != Some(""), "no name is not an empty name");
    if publication.payload.kind == PayloadKind::Bytes {
        assert_eq!(publication.payload.as_text(), None);
    }
    let written = encode_envelope(&publication);
    assert_eq!(decode_envelope(room.clone(), written.clone().into()).as_ref(), Some(&publication));
    for end in 0..written.len() - publication.payload.bytes.len() {
        let cut = Bytes::copy_from_slice(&written[..end]);
        assert_eq!(decode_envelope(room.clone(), cut), None, "a head of {end} bytes");
    }
    let push = Push::new(publication);
    for form in WireForm::ALL {
        assert!(!push.form(form).is_empty() && !push.form_without_id(form).is_empty());
    }
}
