//! Who came and went, as the function in Redis tells it: what is read is what was written, to the last byte.

use bytes::{BufMut, Bytes};
use roomcast_broker::PresenceEvent;
use roomcast_broker_redis::fuzzing::presence_event;
use roomcast_protocol::presence::{MEMBERS_LISTED_MAX, listed};
use roomcast_protocol::{Member, MemberId, Room};
use serde_json::Value;

/// Bytes of a channel of gateways that begin like such an event.
pub fn run(data: &[u8]) {
    let room = Room::parse("room").expect("a name");
    let Some(event) = presence_event(room.clone(), Bytes::copy_from_slice(data)) else { return };
    assert!(event.changes.len() <= data.len() / 8);
    let written = write(&event);
    assert_eq!(presence_event(room.clone(), written.clone().into()).as_ref(), Some(&event));
    for end in 0..written.len() {
        let cut = presence_event(room.clone(), Bytes::copy_from_slice(&written[..end]));
        assert!(cut.is_none_or(|cut| event.changes.starts_with(&cut.changes) && cut.changes.len() < event.changes.len()));
    }
    assert!(listed(&event.changes).len() <= MEMBERS_LISTED_MAX);
    event.changes.iter().for_each(check_json);
}

/// The format of `presence.lua`.
fn write(event: &PresenceEvent) -> Vec<u8> {
    let mut out = vec![2];
    out.put_u64(event.version);
    for member in &event.changes {
        let (id, info) = (member.id.to_string(), member.info.as_deref().unwrap_or_default());
        out.put_u32(member.connections);
        out.put_u16(id.len() as u16);
        out.put_u16(info.len() as u16);
        out.put_slice(id.as_bytes());
        out.put_slice(info.as_bytes());
    }
    out
}

/// Clients get one well-formed object a member, whatever its name and info.
fn check_json(member: &Member) {
    let text = serde_json::to_string(member).expect("a member is JSON");
    // An info may hold numbers that a `Value` cannot.
    let Ok(object) = serde_json::from_str::<Value>(&text) else {
        assert!(member.info.is_some(), "{text}");
        return;
    };
    match &member.id {
        MemberId::User(name) => assert_eq!(object["user"], **name),
        MemberId::Connection(id) => assert_eq!(object["connection"], id.to_string()),
    }
}
