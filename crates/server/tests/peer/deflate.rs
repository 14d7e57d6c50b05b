//! The client's side of permessage-deflate, by a library that the server does not use.

use miniz_oxide::MZFlush;
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;
use miniz_oxide::inflate::decompress_to_vec;
use roomcast_bench::ws::frame;

/// What browsers offer.
pub(crate) const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// The bit that tells a compressed message (RFC 7692, section 6).
pub(crate) const RSV1: u8 = 0x40;

/// What is left away at the end of a message, and an empty last block, so that a decoder sees the end.
const TAIL_AND_END: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// A message, compressed by itself.
pub(crate) fn compressed(message: &[u8]) -> Vec<u8> {
    const RAW_15_BITS: i32 = -15;
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(6, RAW_15_BITS, 0));
    let mut out = vec![0; message.len() + message.len() / 8 + 1024];
    let result = deflate(&mut compressor, message, &mut out, MZFlush::Sync);
    assert_eq!(result.bytes_consumed, message.len());
    out.truncate(result.bytes_written);
    assert!(out.ends_with(&TAIL_AND_END[..4]));
    out.truncate(out.len() - 4);
    out
}

/// The message in the payload of a compressed frame.
pub(crate) fn inflated(payload: &[u8]) -> Vec<u8> {
    decompress_to_vec(&[payload, &TAIL_AND_END].concat()).unwrap()
}

/// A message in frames whose payloads have so many bytes, compressed; `first` is the first byte of a plain one.
pub(crate) fn frames(first: u8, message: &[u8], bytes: usize) -> Vec<u8> {
    let payload = compressed(message);
    let count = payload.len().div_ceil(bytes);
    let frame = |(place, part): (usize, &[u8])| {
        let fin = if place + 1 == count { 0x80 } else { 0 };
        let opcode = if place == 0 { RSV1 | first & 0x0f } else { 0 };
        frame(fin | opcode, part)
    };
    payload.chunks(bytes).enumerate().flat_map(frame).collect()
}
