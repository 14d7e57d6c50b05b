//! The client's side of permessage-deflate, by a library that the server does not use.

use miniz_oxide::MZFlush;
use miniz_oxide::deflate::core::{CompressorOxide, create_comp_flags_from_zip_params};
use miniz_oxide::deflate::stream::deflate;

/// What browsers offer.
pub(crate) const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// The bit that tells a compressed message (RFC 7692, section 6).
pub(crate) const RSV1: u8 = 0x40;

/// What is left away at the end of a message (section 7.2.1).
pub(crate) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A message, compressed by itself.
pub(crate) fn compressed(message: &[u8]) -> Vec<u8> {
    const RAW_15_BITS: i32 = -15;
    let mut compressor = CompressorOxide::new(create_comp_flags_from_zip_params(6, RAW_15_BITS, 0));
    let mut out = vec![0; message.len() + message.len() / 8 + 1024];
    let result = deflate(&mut compressor, message, &mut out, MZFlush::Sync);
    assert_eq!(result.bytes_consumed, message.len());
    out.truncate(result.bytes_written);
    out.strip_suffix(&TAIL).unwrap().to_vec()
}
