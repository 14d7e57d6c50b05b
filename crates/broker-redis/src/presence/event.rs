//! What Redis tells of members of a room, as it is on the wire.

use bytes::{Buf, Bytes};
use roomcast_broker::PresenceEvent;
use roomcast_protocol::{Member, Room};

/// First byte of what tells about members on a room's channel; messages begin with another.
pub(crate) const EVENT_VERSION: u8 = 2;

pub(super) fn read_member(id: &str, connections: u32, info: &str) -> Option<Member> {
    Some(Member { id: id.parse().ok()?, connections, info: (!info.is_empty()).then(|| info.into()) })
}

/// What Redis tells about members of a room. Big-endian: the version of this format, that of the room, and for each
/// member its connections (4 bytes), the lengths of its id and info (2 each), and both. Nothing if it is not that.
pub(crate) fn event(room: Room, mut bytes: Bytes) -> Option<PresenceEvent> {
    if bytes.len() < 9 || bytes.get_u8() != EVENT_VERSION {
        return None;
    }
    let version = bytes.get_u64();
    let mut changes = Vec::new();
    while !bytes.is_empty() {
        if bytes.len() < 8 {
            return None;
        }
        let connections = bytes.get_u32();
        let (id, info) = (usize::from(bytes.get_u16()), usize::from(bytes.get_u16()));
        if bytes.len() < id + info {
            return None;
        }
        let (id, info) = (bytes.split_to(id), bytes.split_to(info));
        let (id, info) = (std::str::from_utf8(&id).ok()?, std::str::from_utf8(&info).ok()?);
        changes.extend(read_member(id, connections, info));
    }
    Some(PresenceEvent { room, version, changes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use roomcast_protocol::MemberId;

    #[test]
    fn events_are_read_and_junk_is_not() {
        let room = || Room::parse("a").unwrap();
        let mut bytes = vec![EVENT_VERSION, 0, 0, 0, 0, 0, 0, 0, 7];
        bytes.extend([0, 0, 0, 2, 0, 6, 0, 2]);
        bytes.extend(b"ualice{}");
        bytes.extend([0, 0, 0, 0, 0, 4, 0, 0]);
        bytes.extend(b"ubob");
        let member = |name: &str, connections, info: Option<&str>| Member {
            id: MemberId::User(name.into()),
            connections,
            info: info.map(Into::into),
        };
        let changes = vec![member("alice", 2, Some("{}")), member("bob", 0, None)];
        let expected = PresenceEvent { room: room(), version: 7, changes };
        assert_eq!(event(room(), Bytes::from(bytes.clone())), Some(expected));
        for end in 0..bytes.len() {
            let cut = event(room(), Bytes::copy_from_slice(&bytes[..end]));
            assert!(cut.is_none_or(|event| event.changes.len() < 2), "{end}");
        }
    }
}
