//! What Redis sends to a subscriber: read alike however it is cut, and as another client reads it.

use bytes::Bytes;
use redis::Value;
use roomcast_broker_redis::fuzzing::{RespReader, Said};

use crate::settings;

/// One byte for the size of pieces, then what Redis sends.
pub fn run(data: &[u8]) {
    let ([piece], bytes) = settings(data);
    let whole = read(bytes, bytes.len().max(1));
    let pieces = read(bytes, usize::from(piece).max(1));
    assert_eq!(pieces.said, whole.said, "in pieces of {piece}");
    assert_eq!(pieces.failed, whole.failed, "in pieces of {piece}");
    for (said, bytes) in &whole.said {
        compare(said, bytes);
    }
    any_payload_comes_through(bytes, usize::from(piece).max(1));
}

#[derive(Default)]
struct Read {
    /// What was said, and its bytes.
    said: Vec<(Said, Vec<u8>)>,
    failed: bool,
}

fn read(bytes: &[u8], piece: usize) -> Read {
    let (mut reader, mut read, mut at) = (RespReader::default(), Read::default(), 0);
    let mut pushed = 0;
    for part in bytes.chunks(piece) {
        reader.push(part);
        pushed += part.len();
        loop {
            match reader.next_said() {
                Ok(None) => break,
                Ok(Some(said)) => {
                    let end = pushed - reader.waiting();
                    assert!(end > at, "something is read of nothing");
                    read.said.push((said, bytes[at..end].to_vec()));
                    at = end;
                }
                Err(reason) => {
                    assert!(!reason.is_empty());
                    read.failed = true;
                    return read;
                }
            }
        }
        // The rest of a payload that is too large is taken without being said.
        at = at.max(pushed - reader.waiting());
    }
    read
}

/// What redis-rs reads in the same bytes.
fn compare(said: &Said, bytes: &[u8]) {
    let expected = |kind: &str, channel: &Bytes| vec![text(kind), Value::BulkString(channel.to_vec())];
    match said {
        Said::Message(channel, payload) => {
            let mut items = expected("message", channel);
            items.push(Value::BulkString(payload.to_vec()));
            assert_eq!(redis::parse_redis_value(bytes), Ok(Value::Array(items)));
        }
        Said::Confirmed(channel) => match redis::parse_redis_value(bytes) {
            Ok(Value::Array(items)) => {
                assert!(items[0] == text("subscribe") || items[0] == text("unsubscribe"));
                assert_eq!(items[1], Value::BulkString(channel.to_vec()));
            }
            // Its count is not read: nothing depends on it.
            other => assert!(other.is_err(), "{other:?}"),
        },
        Said::TooLarge(_, len) => assert!(*len > 64 << 20),
        Said::Error(error) => assert!(bytes[0] == b'-' && error.len() <= 3 * bytes.len()),
        Said::Other => assert!(matches!(bytes[0], b'+' | b':' | b'$' | b'*')),
    }
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn any_payload_comes_through(payload: &[u8], piece: usize) {
    let head = format!("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n${}\r\n", payload.len());
    let bytes = [head.as_bytes(), payload, b"\r\n+OK\r\n"].concat();
    let said: Vec<_> = read(&bytes, piece).said.into_iter().map(|(said, _)| said).collect();
    assert_eq!(said, [Said::Message("c".into(), Bytes::copy_from_slice(payload)), Said::Other]);
}
