//! WebSocket frames that the server sends (RFC 6455, section 5.2). They are not masked, hence the
//! same bytes for every client.

use bytes::{BufMut, Bytes, BytesMut};

use crate::Close;
use crate::limits::CONTROL_BYTES_MAX;

const FIN: u8 = 0x80;
/// The bit that tells a compressed message (RFC 7692, section 6).
const RSV1: u8 = 0x40;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// A ping without payload.
pub const EMPTY_PING: &[u8] = &[FIN | PING, 0];

/// A text frame; `payload` must be UTF-8.
pub fn text(payload: &[u8]) -> Bytes {
    frame(TEXT, payload)
}

/// A binary frame.
pub fn binary(payload: &[u8]) -> Bytes {
    frame(BINARY, payload)
}

/// The same message with its payload compressed; `frame` is one of [`text`] or [`binary`].
pub fn compressed(frame: &[u8], payload: &[u8]) -> Bytes {
    let opcode = frame.first().map_or(BINARY, |first| first & 0x0f);
    whole(FIN | RSV1 | opcode, payload)
}

/// The payload of a frame that was made here.
pub fn payload(frame: &[u8]) -> &[u8] {
    let head = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.get(head..).unwrap_or_default()
}

/// The answer to a ping, with the ping's payload of at most 125 bytes.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(PONG, &payload[..payload.len().min(CONTROL_BYTES_MAX)])
}

/// A close frame with code and reason.
pub fn close(close: &Close) -> Bytes {
    let mut payload = Vec::with_capacity(2 + close.reason().len());
    payload.put_u16(close.code);
    payload.extend_from_slice(close.reason().as_bytes());
    frame(CLOSE, &payload)
}

/// A close frame without a code: the answer to one without a code.
pub fn close_without_code() -> Bytes {
    frame(CLOSE, &[])
}

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    whole(FIN | opcode, payload)
}

fn whole(first: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(10 + payload.len());
    out.put_u8(first);
    match payload.len() {
        0..=125 => out.put_u8(payload.len() as u8),
        126..=0xffff => {
            out.put_u8(126);
            out.put_u16(payload.len() as u16);
        }
        long => {
            out.put_u8(127);
            out.put_u64(long as u64);
        }
    }
    out.put_slice(payload);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastwebsockets::{Frame, Payload};

    /// fastwebsockets writes the same bytes.
    #[test]
    fn frames_are_those_of_another_implementation() {
        for len in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
            let payload = vec![b'x'; len];
            let mut buffer = Vec::new();
            let mut other = Frame::text(Payload::Borrowed(&payload));
            assert_eq!(&text(&payload)[..], other.write(&mut buffer), "text of {len}");
            assert_eq!(super::payload(&text(&payload)), payload, "payload of {len}");
            let mut buffer = Vec::new();
            let mut other = Frame::binary(Payload::Borrowed(&payload));
            assert_eq!(&binary(&payload)[..], other.write(&mut buffer), "binary of {len}");
        }
        let mut buffer = Vec::new();
        let mut other = Frame::close(4408, b"why");
        assert_eq!(&close(&Close::new(4408, "why"))[..], other.write(&mut buffer));
    }

    #[test]
    fn control_frames() {
        assert_eq!(&pong(b"abc")[..], [0x8a, 3, b'a', b'b', b'c']);
        assert_eq!(&close_without_code()[..], [0x88, 0]);
        assert_eq!(&compressed(&text(b"plain"), b"abc")[..], [0xc1, 3, b'a', b'b', b'c']);
        assert_eq!(&compressed(&binary(b"plain"), b"")[..], [0xc2, 0]);
        assert_eq!(EMPTY_PING, [0x89, 0]);
    }
}
