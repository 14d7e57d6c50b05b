//! Messages that are compressed well, badly, wrongly and with bad intentions.

use std::io::Read as _;

use flate2::read::DeflateDecoder;
use proptest::prelude::*;

use super::*;

const SETTINGS: DeflateSettings = DeflateSettings { level: 1, threshold: 16, window_bits: 15 };
const BYTES_MAX: usize = 100_000;

fn inflate(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, u16> {
    let message = Inflater::default().message(false, payload, bytes_max);
    message.map(|bytes| bytes.to_vec()).map_err(|error| error.code)
}

/// What a client makes of a payload.
fn deflate(message: &[u8], level: u32, flush: FlushCompress) -> Vec<u8> {
    let mut compress = Compress::new(Compression::new(level), false);
    let mut out = Vec::with_capacity(message.len() * 2 + 100);
    compress.compress_vec(message, &mut out, flush).unwrap();
    assert_eq!(compress.total_in(), message.len() as u64);
    out.strip_suffix(&TAIL).map(<[u8]>::to_vec).unwrap_or(out)
}

/// The examples of RFC 7692, section 7.2.3.
#[test]
fn examples_of_the_standard() {
    let cases: [(&str, &[u8], &[u8]); 5] = [
        ("7.2.3.1: one block", &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
        ("7.2.3.3: not compressed", &[0, 5, 0, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0], b"Hello"),
        ("7.2.3.4: a final block", &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], b"Hello"),
        (
            "7.2.3.5: two blocks",
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            b"Hello",
        ),
        ("7.2.3.6: an empty message", &[0x00], b""),
    ];
    for (name, payload, message) in cases {
        assert_eq!(inflate(payload, BYTES_MAX).as_deref(), Ok(message), "{name}");
    }
}

/// What the standard does not foresee, but clients send, and what can be meant is one thing only.
#[test]
fn what_clients_leave_away() {
    assert_eq!(inflate(b"", BYTES_MAX).as_deref(), Ok(&b""[..]), "an empty message that was flushed already");
    let ended = deflate(b"Hello", 6, FlushCompress::Finish);
    assert_eq!(inflate(&ended, BYTES_MAX).as_deref(), Ok(&b"Hello"[..]), "nothing after the final block");
    let twice = [ended.clone(), ended].concat();
    assert_eq!(inflate(&twice, BYTES_MAX).as_deref(), Ok(&b"HelloHello"[..]), "two streams");
}

#[test]
fn what_is_not_deflate() {
    let whole = deflate(&b"a message that is long enough ".repeat(20), 6, FlushCompress::Sync);
    let mut changed = whole.clone();
    changed[0] |= 0x06;
    let reaches_too_far = {
        let mut window = Compress::new(Compression::new(6), false);
        let mut first = Vec::with_capacity(100);
        window.compress_vec(&whole, &mut first, FlushCompress::Sync).unwrap();
        let mut second = Vec::with_capacity(2000);
        window.compress_vec(&whole, &mut second, FlushCompress::Sync).unwrap();
        second
    };
    let cases: [(&str, &[u8]); 6] = [
        ("a block of a type that does not exist", &changed),
        ("cut off", &whole[..whole.len() / 2]),
        ("a stored block that is shorter than it says", &[0x00, 0x07, 0x00, 0xf8, 0xff, b'H']),
        ("the length of a stored block is not the complement", &[0x00, 0x05, 0x00, 0x00, 0x00, b'H']),
        ("refers to the message before", &reaches_too_far),
        ("text", b"Hello"),
    ];
    for (name, payload) in cases {
        assert_eq!(inflate(payload, BYTES_MAX), Err(1007), "{name}");
    }
}

/// One inflater takes good messages after bad ones, whatever these have left in it.
#[test]
fn a_bad_message_leaves_nothing_behind() {
    let good = deflate(b"good good good good", 6, FlushCompress::Sync);
    let bomb = deflate(&vec![0; 1 << 20], 9, FlushCompress::Sync);
    let mut inflater = Inflater::default();
    for bad in [&bomb[..], &good[..4], b"Hello", b""] {
        let _ = inflater.message(false, bad, BYTES_MAX);
        assert_eq!(inflater.message(true, &good, 19).unwrap(), "good good good good");
    }
}

#[test]
fn text_is_utf8_once_it_is_inflated() {
    let mut inflater = Inflater::default();
    for (bytes, valid) in [("gr\u{fc}n".as_bytes(), true), (b"\xc3", false), (b"a\xff", false)] {
        let payload = deflate(bytes, 6, FlushCompress::Sync);
        let code = inflater.message(true, &payload, BYTES_MAX).err().map(|error| error.code);
        assert_eq!(code, (!valid).then_some(1007));
        assert_eq!(inflater.message(false, &payload, BYTES_MAX).unwrap(), bytes);
    }
}

/// No more than one byte beyond the limit is inflated, and what is held is what came out.
#[test]
fn limits() {
    let bomb = deflate(&vec![0; 16 << 20], 9, FlushCompress::Sync);
    assert!(bomb.len() < 20_000);
    for bytes_max in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 65_536] {
        let mut inflater = Inflater::default();
        assert_eq!(inflater.message(false, &bomb, bytes_max), Err(TOO_LARGE));
        assert_eq!(inflater.decompress.total_out(), bytes_max as u64 + 1);
        let just = deflate(&vec![7; bytes_max], 9, FlushCompress::Sync);
        assert_eq!(inflater.message(false, &just, bytes_max).unwrap().len(), bytes_max);
    }
    let streams = |count| [0x03, 0x00].repeat(count);
    assert_eq!(inflate(&streams(DEFLATED_STREAMS_MAX as usize), BYTES_MAX), Ok(Vec::new()));
    assert_eq!(inflate(&streams(DEFLATED_STREAMS_MAX as usize + 1), BYTES_MAX), Err(1009));
}

/// However badly a client compresses a message that is just short enough, it may send it.
#[test]
fn excess() {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 | 0x90
    })
    .take(65_536)
    .collect();
    for len in [0, 1, 100, 1000, 65_536] {
        for level in 0..=9 {
            let payload = deflate(&noise[..len], level, FlushCompress::Sync);
            assert!(payload.len() <= compressed_bytes_max(len), "{len} bytes at {level}: {}", payload.len());
        }
    }
    assert_eq!(compressed_bytes_max(65_536), 65_536 + 8192 + 1024);
    assert_eq!(compressed_bytes_max(usize::MAX), usize::MAX);
}

#[test]
fn frames_that_are_worth_it() {
    let mut deflater = Deflater::new(SETTINGS, Window::Configured);
    let text = "to be or not to be ".repeat(20);
    let frame = deflater.frame(&ws_frame::text(text.as_bytes())).unwrap();
    assert_eq!((frame[0], usize::from(frame[1])), (0xc1, frame.len() - 2));
    assert_eq!(inflate(&frame[2..], BYTES_MAX).unwrap(), text.as_bytes());
    let binary = deflater.frame(&ws_frame::binary(&[9; 70_000])).unwrap();
    assert_eq!((binary[0], binary[1]), (0xc2, 126));
    assert_eq!(inflate(&binary[4..], BYTES_MAX).unwrap(), [9; 70_000]);
    let not_worth_it: [(&str, &[u8]); 4] = [
        ("shorter than the threshold", &[9; 15]),
        ("does not become shorter", b"0123456789abcdef"),
        ("longer than is compressed", &[9; DEFLATED_MESSAGE_BYTES_MAX + 1]),
        ("empty", b""),
    ];
    for (name, payload) in not_worth_it {
        assert_eq!(deflater.frame(&ws_frame::binary(payload)), None, "{name}");
    }
    assert!(deflater.frame(&ws_frame::binary(&[9; DEFLATED_MESSAGE_BYTES_MAX])).is_some());
}

/// zlib-rs 0.6.8 panicked after 64 KiB of messages that did not become shorter, where it had no room for them.
#[test]
fn noise_without_end() {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let text = ws_frame::text("to be or not to be ".repeat(20).as_bytes());
    for level in [1, 2, 6, 9] {
        for window in Window::ALL {
            let mut deflater = Deflater::new(DeflateSettings { level, ..SETTINGS }, window);
            for len in [17, 500, 1024, 5000, 70_000] {
                let message: Vec<u8> = (0..len).map(|_| noise()).collect();
                let frame = ws_frame::binary(&message);
                (0..100_000 / len).for_each(|_| assert_eq!(deflater.frame(&frame), None));
                assert!(deflater.frame(&text).is_some());
            }
        }
    }
}

/// A client that has kept `2^bits` bytes only can read what is compressed for it: noise that comes again farther away than that is
/// not found.
#[test]
fn windows_are_kept() {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(32_768)
    .collect();
    for bits in WINDOW_BITS_MIN..=WINDOW_BITS_MAX {
        let settings = DeflateSettings { level: 6, threshold: 0, window_bits: bits };
        for window in Window::ALL {
            let size = 1 << window.bits(settings);
            let mut deflater = Deflater::new(settings, window);
            let mut repeats_after = |distance: usize| {
                let message = [&noise[..distance], &noise[..distance.min(2000)]].concat();
                deflater.frame(&ws_frame::binary(&message)).is_some()
            };
            // zlib keeps some hundred bytes of the window for what comes next.
            assert!(repeats_after(size / 3), "{bits} {window:?}: within the window");
            assert!(size == noise.len() || !repeats_after(size + 1), "{bits} {window:?}: beyond the window");
        }
    }
}

proptest! {
    /// What is compressed is what another decoder reads; each message by itself, in whatever order.
    #[test]
    fn messages_come_back(
        messages in proptest::collection::vec((0..4000_usize, any::<u8>(), 1..=9_u8), 1..6),
        bits in WINDOW_BITS_MIN..=WINDOW_BITS_MAX,
    ) {
        let mut inflater = Inflater::default();
        for (len, seed, level) in messages {
            let settings = DeflateSettings { level, threshold: 0, window_bits: bits };
            let message: Vec<u8> = (0..len).map(|i| (i / 3) as u8 & seed).collect();
            for window in Window::ALL {
                let mut deflater = Deflater::new(settings, window);
                for _ in 0..2 {
                    let Some(frame) = deflater.frame(&ws_frame::binary(&message)) else { continue };
                    let payload = ws_frame::payload(&frame);
                    prop_assert!(payload.len() < message.len());
                    let mut other = Vec::new();
                    let stream = [payload, &TAIL_AND_END].concat();
                    DeflateDecoder::new(&stream[..]).read_to_end(&mut other).unwrap();
                    prop_assert_eq!(&other, &message);
                    prop_assert_eq!(inflater.message(false, payload, len).unwrap(), message.clone());
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), bytes_max in 0..500_usize) {
        if let Ok(message) = inflate(&bytes, bytes_max) {
            prop_assert!(message.len() <= bytes_max);
        }
    }
}
