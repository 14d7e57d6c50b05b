//! Compressed messages of WebSocket clients: inflated within their limit, and as miniz_oxide inflates them; what is compressed comes
//! back.

use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec};
use roomcast_protocol::wire::deflate::{DeflateSettings, Deflater, Inflater, Window};
use roomcast_protocol::wire::ws_frame;
use roomcast_protocol::wire::ws_reader::{FrameReader, Incoming};

use crate::settings;

/// What a message leaves away, and an empty last block.
const TAIL_AND_END: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// One byte for the limit of a message, one for how to compress and to cut; then a payload, frames and a message in one.
pub fn run(data: &[u8]) {
    let ([limit, how], bytes) = settings(data);
    let limit = usize::from(limit) * 64;
    inflate(bytes, limit);
    read_frames(bytes, limit, usize::from(how).max(1));
    what_is_compressed_comes_back(bytes, how);
}

fn inflate(payload: &[u8], limit: usize) {
    let mut inflater = Inflater::default();
    let result = inflater.message(false, payload, limit);
    assert_eq!(inflater.message(false, payload, limit), result, "nothing is left of the first time");
    if let Err(error) = &result {
        assert!(matches!(error.code, 1007 | 1009) && !error.reason.is_empty());
    }
    if let Ok(message) = &result {
        assert!(message.len() <= limit);
        let is_text = std::str::from_utf8(message).is_ok();
        assert_eq!(inflater.message(true, payload, limit).is_ok(), is_text);
    }
    if payload.is_empty() {
        return;
    }
    let stream = [payload, &TAIL_AND_END].concat();
    let mut out = vec![0; limit + 1];
    let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, taken, made) = decompress(&mut DecompressorOxide::new(), &stream, &mut out, 0, flags);
    let first = &out[..made];
    match (&result, status) {
        // The other one stops at the first final block.
        (Ok(message), TINFLStatus::Done) => assert_eq!(&message[..first.len()], first),
        (Ok(_), status) => panic!("only we inflate it, the other says {status:?}"),
        (Err(error), TINFLStatus::Done) if taken == stream.len() => {
            assert!(made > limit, "only the other inflates it, we say {error}");
        }
        (Err(_), _) => {}
    }
}

/// Frames are read alike however they are cut, and no payload is longer than it may be.
fn read_frames(bytes: &[u8], limit: usize, piece: usize) {
    let read = |piece| {
        let mut reader = FrameReader::new(limit).with_deflate();
        let mut all = Vec::new();
        for part in bytes.chunks(piece) {
            let mut part = part.to_vec();
            let mut input = part.as_mut_slice();
            loop {
                match reader.read(&mut input) {
                    Ok(Some(incoming)) => all.push(incoming),
                    Ok(None) => break,
                    Err(error) => return (all, Some(error)),
                }
            }
        }
        (all, None)
    };
    let whole = read(bytes.len().max(1));
    assert_eq!(read(piece), whole);
    for incoming in whole.0 {
        match incoming {
            Incoming::Compressed { payload, .. } => assert!(payload.len() <= limit + limit / 8 + 1024),
            Incoming::Text(data) | Incoming::Binary(data) => assert!(data.len() <= limit),
            Incoming::Ping(_) | Incoming::Pong | Incoming::Close(_) => {}
        }
    }
}

fn what_is_compressed_comes_back(message: &[u8], how: u8) {
    let settings = DeflateSettings { level: 1 + how % 9, threshold: 0, window_bits: 9 + how % 7 };
    let frame = ws_frame::binary(message);
    for window in Window::ALL {
        let mut deflater = Deflater::new(settings, window);
        // Whatever came before, many times over.
        (0..usize::from(how)).for_each(|_| drop(deflater.frame(&frame)));
        let Some(compressed) = deflater.frame(&frame) else { continue };
        assert!(compressed[0] == 0xc2 && compressed.len() < frame.len());
        let payload = ws_frame::payload(&compressed);
        let other = decompress_to_vec(&[payload, &TAIL_AND_END].concat());
        assert_eq!(other.expect("it is DEFLATE"), message);
        let ours = Inflater::default().message(false, payload, message.len());
        assert_eq!(ours.as_deref(), Ok(message));
    }
}
