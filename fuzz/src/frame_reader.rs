//! Frames of WebSocket clients: read alike however they are cut, and as another strict reader reads them.

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use roomcast_protocol::Close;
use roomcast_protocol::wire::ws_frame;
use roomcast_protocol::wire::ws_reader::{FrameReader, Incoming, ReadError};
use tokio_websockets::{Limits, Message, ServerBuilder};

use crate::peer::Peer;
use crate::settings;

/// One byte for the size of pieces, one for the limit of a message, then what a client sends.
pub fn run(data: &[u8]) {
    let ([piece, limit], bytes) = settings(data);
    // The other reader has one limit for messages and control frames.
    let limit = 125 + usize::from(limit) * 16;
    let whole = read(bytes, bytes.len().max(1), limit);
    for piece in [usize::from(piece).max(1), 1] {
        let pieces = read(bytes, piece, limit);
        assert_eq!(pieces, whole, "in pieces of {piece}");
    }
    check_sizes(&whole.0, limit);
    compare(&whole, &read_as_another(bytes, limit));
    what_we_write_is_read(bytes);
}

type Outcome = (Vec<Incoming>, Option<ReadError>);

fn read(bytes: &[u8], piece: usize, limit: usize) -> Outcome {
    let mut reader = FrameReader::new(limit);
    let mut all = Vec::new();
    for part in bytes.chunks(piece) {
        let mut part = part.to_vec();
        let mut input = part.as_mut_slice();
        loop {
            match reader.read(&mut input) {
                Ok(Some(incoming)) => all.push(incoming),
                Ok(None) => break,
                Err(error) => {
                    assert!(matches!(error.code, 1002 | 1007 | 1009) && !error.reason.is_empty());
                    // After an error nothing is read any more.
                    assert_eq!(reader.read(&mut [0x8a, 0x80, 0, 0, 0, 0].as_mut_slice()), Ok(None));
                    return (all, Some(error));
                }
            }
        }
        assert!(input.is_empty(), "all input is taken");
    }
    (all, None)
}

fn check_sizes(frames: &[Incoming], limit: usize) {
    for (i, frame) in frames.iter().enumerate() {
        match frame {
            Incoming::Text(text) => {
                assert!(text.len() <= limit && std::str::from_utf8(text).is_ok());
            }
            Incoming::Binary(bytes) => assert!(bytes.len() <= limit),
            Incoming::Ping(payload) => assert!(payload.len() <= 125),
            Incoming::Pong => {}
            Incoming::Compressed { .. } => panic!("compression was not agreed"),
            Incoming::Close(_) => assert_eq!(i + 1, frames.len(), "nothing comes after a close"),
        }
    }
}

/// What tokio-websockets reads, to its first error or the end.
fn read_as_another(bytes: &[u8], limit: usize) -> Vec<Incoming> {
    let limits = Limits::default().max_payload_len(Some(limit));
    let mut stream = ServerBuilder::new().limits(limits).serve(Peer::new(vec![bytes.to_vec()]));
    let mut all = Vec::new();
    while let Some(Some(Ok(message))) = stream.next().now_or_never() {
        let closed = message.is_close();
        all.push(incoming(&message));
        if closed {
            break;
        }
    }
    all
}

fn incoming(message: &Message) -> Incoming {
    let payload = Bytes::copy_from_slice(message.as_payload());
    if message.is_text() {
        Incoming::Text(payload)
    } else if message.is_binary() {
        Incoming::Binary(payload)
    } else if message.is_ping() {
        Incoming::Ping(payload)
    } else if message.is_pong() {
        Incoming::Pong
    } else {
        let close = message.as_close().map(|(code, reason)| Close::new(u16::from(code), reason.to_owned()));
        Incoming::Close(close.filter(|_| !payload.is_empty()))
    }
}

fn compare((ours, error): &Outcome, theirs: &[Incoming]) {
    let both = ours.len().min(theirs.len());
    assert_eq!(ours[..both], theirs[..both]);
    assert_eq!(ours.len().max(both), both, "only we read {:?}", &ours[both..]);
    if theirs.len() > both {
        assert!(error.is_some(), "only the other reader reads {:?}", &theirs[both..]);
    }
}

/// A frame of ours, read by a client, has the payload that was given.
fn what_we_write_is_read(payload: &[u8]) {
    let head = match payload.len() {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    let frame = ws_frame::binary(payload);
    assert_eq!((frame[0], &frame[head..]), (0x82, payload));
    let pong = ws_frame::pong(payload);
    assert_eq!(usize::from(pong[1]), pong.len() - 2);
    assert!(pong.len() <= 127);
}
