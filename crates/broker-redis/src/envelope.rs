//! What gateways publish: a payload with what has to be known about it.
//!
//! A fixed head of big-endian numbers, which a script in Redis can write as well, then the names,
//! then the payload to the end:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | kind: `u` untyped, `j` JSON, `t` text, `b` bytes |
//! | 2 | length of the event name |
//! | 2 | length of the user's name |
//! | 8 + 8 | epoch and offset; epoch 0 where the room keeps no history |
//! | 8 | when it was published, in µs since 1970; 0 unknown |
//! | 16 | the connection that must not get it; 0 none |
//!
//! A message that is traced carries its span where it has no event name, or else no user: in the place of that name,
//! as bytes that are none. Whoever does not know of traces takes such a name for none, which is right. A message
//! that has both is not traced beyond the broker.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes};
use roomcast_protocol::{
    ConnectionId, EventName, Payload, PayloadKind, Position, Publication, Room, TraceContext,
};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 46;

/// Bytes that are no envelope of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message envelope of version {VERSION}; does another version of roomcast run on this Redis?")]
pub(crate) struct NotAnEnvelope;

/// The bytes of a publication; its room is in the channel's name.
pub(crate) fn encode(publication: &Publication) -> Vec<u8> {
    let event = publication.event.as_ref().map_or("", EventName::as_str);
    // A user's name comes from a token and may be long; what does not fit is not a name.
    let user = publication.user.as_deref().filter(|user| user.len() <= usize::from(u16::MAX)).unwrap_or("");
    let trace = publication.trace.map(trace_name);
    let trace = trace.as_ref().map_or(&[][..], |name| name);
    let (event, user) = match (event.as_bytes(), user.as_bytes()) {
        (b"", user) => (trace, user),
        (event, b"") => (event, trace),
        both => both,
    };
    let payload = &publication.payload.bytes;
    let mut out = Vec::with_capacity(HEAD_BYTES + event.len() + user.len() + payload.len());
    out.put_u8(VERSION);
    out.put_u8(match publication.payload.kind {
        PayloadKind::Untyped => b'u',
        PayloadKind::Json => b'j',
        PayloadKind::Text => b't',
        PayloadKind::Bytes => b'b',
    });
    out.put_u16(event.len() as u16);
    out.put_u16(user.len() as u16);
    let position = publication.position.unwrap_or(Position { epoch: 0, offset: 0 });
    out.put_u64(position.epoch);
    out.put_u64(position.offset);
    out.put_u64(publication.published_us.unwrap_or(0));
    out.put_slice(&publication.except.map_or([0; 16], ConnectionId::to_bytes));
    out.put_slice(event);
    out.put_slice(user);
    out.put_slice(payload);
    out
}

/// The publication in an envelope.
pub(crate) fn decode(room: Room, mut bytes: Bytes) -> Result<Publication, NotAnEnvelope> {
    if bytes.len() < HEAD_BYTES || bytes.get_u8() != VERSION {
        return Err(NotAnEnvelope);
    }
    let kind = match bytes.get_u8() {
        b'u' => PayloadKind::Untyped,
        b'j' => PayloadKind::Json,
        b't' => PayloadKind::Text,
        b'b' => PayloadKind::Bytes,
        _ => return Err(NotAnEnvelope),
    };
    let event_len = usize::from(bytes.get_u16());
    let user_len = usize::from(bytes.get_u16());
    let position = Position { epoch: bytes.get_u64(), offset: bytes.get_u64() };
    let published_us = bytes.get_u64();
    let mut except = [0; ConnectionId::BYTES];
    bytes.copy_to_slice(&mut except);
    if bytes.len() < event_len + user_len {
        return Err(NotAnEnvelope);
    }
    let event = bytes.split_to(event_len);
    let user = bytes.split_to(user_len);
    let trace = trace_in(&event).or_else(|| trace_in(&user));
    Ok(Publication {
        room,
        trace,
        payload: Payload::new(kind, bytes),
        // A backend may have given it any bytes; a name that is none must not cost the message.
        event: text(&event).ok().and_then(|name| EventName::parse(name).ok()?),
        position: (position.epoch != 0).then_some(position),
        user: text(&user).ok().filter(|name| !name.is_empty()).map(Arc::from),
        except: (except != [0; 16]).then(|| ConnectionId::from_bytes(except)),
        published_us: (published_us != 0).then_some(published_us),
    })
}

/// What stands before a span in the place of a name: no text in UTF-8 begins so.
const TRACE_MARK: [u8; 2] = [0xff, b't'];
const TRACE_BYTES: usize = TRACE_MARK.len() + TraceContext::BYTES;

fn trace_name(trace: TraceContext) -> [u8; TRACE_BYTES] {
    let mut name = [0; TRACE_BYTES];
    name[..2].copy_from_slice(&TRACE_MARK);
    name[2..].copy_from_slice(&trace.to_bytes());
    name
}

fn trace_in(name: &[u8]) -> Option<TraceContext> {
    TraceContext::from_bytes(name.strip_prefix(&TRACE_MARK)?.try_into().ok()?)
}

fn text(bytes: &[u8]) -> Result<&str, NotAnEnvelope> {
    std::str::from_utf8(bytes).map_err(|_| NotAnEnvelope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roomcast_protocol::NodeId;

    fn room() -> Room {
        Room::parse("r").unwrap()
    }

    proptest! {
        #[test]
        fn round_trip(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            kind in prop_oneof![Just(PayloadKind::Untyped), Just(PayloadKind::Json), Just(PayloadKind::Text), Just(PayloadKind::Bytes)],
            event in "[a-z é]{0,20}",
            user in proptest::option::of("\\PC{1,20}"),
            position in proptest::option::of((1..u64::MAX, any::<u64>())),
            except in proptest::option::of((any::<u64>(), 1..u64::MAX)),
            published_us in proptest::option::of(1..u64::MAX),
            trace in proptest::option::of((1..u128::MAX, 1..u64::MAX)),
        ) {
            let publication = Publication {
                room: room(),
                payload: Payload::new(kind, bytes),
                event: EventName::parse(&event).unwrap(),
                position: position.map(|(epoch, offset)| Position { epoch, offset }),
                user: user.map(Arc::from),
                except: except.map(|(node, serial)| ConnectionId { node: NodeId(node), serial }),
                published_us,
                trace: trace.map(|(trace, span)| TraceContext {
                    trace_id: trace.to_be_bytes(),
                    span_id: span.to_be_bytes(),
                }),
            };
            let has_both = publication.event.is_some() && publication.user.is_some();
            let trace = publication.trace.filter(|_| !has_both);
            let bytes = encode(&publication);
            prop_assert_eq!(decode(room(), bytes.clone().into()).unwrap(), Publication { trace, ..publication.clone() });
            // Who does not know of traces finds texts in the places of names, or none.
            let lengths = [2, 4].map(|at| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]])));
            let (event, rest) = bytes[HEAD_BYTES..].split_at(lengths[0]);
            let known = |name: Option<&str>| name.unwrap_or_default().to_owned();
            let seen = |name: &[u8]| std::str::from_utf8(name).unwrap_or_default().to_owned();
            prop_assert_eq!(seen(event), known(publication.event.as_ref().map(EventName::as_str)));
            prop_assert_eq!(seen(&rest[..lengths[1]]), known(publication.user.as_deref()));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode(room(), bytes.clone().into());
            let mut near = bytes;
            near.splice(0..near.len().min(2), [VERSION, b'j']);
            let _ = decode(room(), near.into());
        }
    }
}
