//! Tables and properties of the frame reader. The cases of the Autobahn suite run on the wire, in
//! the end-to-end tests of the server crate.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1000;

/// One masked client frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x11, 0x22, 0x33, 0x44];
    let mut out = vec![first];
    match payload.len() {
        0..=125 => out.push(0x80 | payload.len() as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((payload.len() as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend((long as u64).to_be_bytes());
        }
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
    out
}

/// Reads all of `bytes`, in pieces of the given sizes (cycled).
fn read_in(bytes: &[u8], pieces: &[usize]) -> Result<Vec<Incoming>, ReadError> {
    read_with(FrameReader::new(LIMIT), bytes, pieces)
}

fn read_with(mut reader: FrameReader, bytes: &[u8], pieces: &[usize]) -> Result<Vec<Incoming>, ReadError> {
    let mut all = Vec::new();
    let mut rest = bytes;
    for size in pieces.iter().cycle() {
        if rest.is_empty() {
            return Ok(all);
        }
        let (piece, tail) = rest.split_at((*size).min(rest.len()));
        rest = tail;
        let mut piece = piece.to_vec();
        let mut input = piece.as_mut_slice();
        while let Some(incoming) = reader.read(&mut input)? {
            all.push(incoming);
        }
        assert!(input.is_empty());
    }
    unreachable!("pieces is not empty")
}

fn read(bytes: &[u8]) -> Result<Vec<Incoming>, ReadError> {
    read_in(bytes, &[usize::MAX])
}

fn text(s: &str) -> Incoming {
    Incoming::Text(Bytes::copy_from_slice(s.as_bytes()))
}

#[test]
fn a_message_has_so_many_empty_fragments() {
    let empty = frame(0x00, b"").repeat(EMPTY_FRAGMENTS_MAX as usize);
    let message = |middle: &[&[u8]]| [&frame(0x01, b"a")[..], &middle.concat(), &frame(0x80, b"b")].concat();
    assert_eq!(read(&message(&[&empty])), Ok(vec![text("ab")]));
    assert_eq!(read(&message(&[&empty, &frame(0x00, b"")])), Err(TOO_MANY_EMPTY));
    assert_eq!(read(&message(&[&empty]).repeat(2)), Ok(vec![text("ab"); 2]));
}

#[test]
fn frames_are_counted_whether_they_end_a_message_or_not() {
    let mut reader = FrameReader::new(LIMIT);
    let mut bytes = [frame(0x01, b"a"), frame(0x89, b"p"), frame(0x80, b"b"), frame(0x81, b"c")].concat();
    let mut input = bytes.as_mut_slice();
    while reader.read(&mut input).unwrap().is_some() {}
    assert_eq!((reader.take_frames(), reader.take_frames()), (4, 0));
}

#[test]
fn messages() {
    let fragments = [frame(0x01, b"a"), frame(0x89, b"p"), frame(0x00, b""), frame(0x80, b"b")].concat();
    let cases: Vec<(Vec<u8>, Vec<Incoming>)> = vec![
        (frame(0x81, b"hi"), vec![text("hi")]),
        (frame(0x82, b"\xff"), vec![Incoming::Binary(Bytes::from_static(b"\xff"))]),
        (frame(0x81, b""), vec![text("")]),
        (fragments, vec![Incoming::Ping(Bytes::from_static(b"p")), text("ab")]),
        (frame(0x8a, b"x"), vec![Incoming::Pong]),
        (frame(0x88, b""), vec![Incoming::Close(None)]),
        (frame(0x88, b"\x03\xe8bye"), vec![Incoming::Close(Some(Close::new(1000, "bye")))]),
        ([frame(0x88, b""), frame(0x81, b"late")].concat(), vec![Incoming::Close(None)]),
        (frame(0x82, &[7; LIMIT]), vec![Incoming::Binary(Bytes::from(vec![7; LIMIT]))]),
    ];
    for (bytes, expected) in cases {
        assert_eq!(read(&bytes).unwrap(), expected);
        assert_eq!(read_in(&bytes, &[1]).unwrap(), expected);
    }
}

#[test]
fn refusals() {
    let unmasked = vec![0x81, 2, b'h', b'i'];
    let long_form = |len: u64| [&[0x82, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat();
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("not masked", unmasked, 1002),
        ("RSV1", frame(0xc1, b""), 1002),
        ("RSV3", frame(0x91, b""), 1002),
        ("opcode 3", frame(0x83, b""), 1002),
        ("opcode 11", frame(0x8b, b""), 1002),
        ("ping of 126", frame(0x89, &[0; 126]), 1002),
        ("fragmented ping", frame(0x09, b""), 1002),
        ("lone continuation", frame(0x80, b"a"), 1002),
        ("text inside of text", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
        ("16 bits for 125", [&[0x82, 0xfe, 0, 125][..], &[0; 129]].concat(), 1002),
        ("64 bits for 65535", long_form(0xffff), 1002),
        ("63rd bit", long_form(1 << 63), 1002),
        ("too large, claimed only", long_form(1 << 40), 1009),
        ("too large by one", frame(0x82, &[0; LIMIT + 1]), 1009),
        ("too large together", [frame(0x02, &[0; LIMIT]), frame(0x80, &[0])].concat(), 1009),
        ("wrong byte", frame(0x81, b"a\xff"), 1007),
        ("half a character at the end", frame(0x81, b"\xe2\x82"), 1007),
        (
            "half a character at the end of fragments",
            [frame(0x01, b"a"), frame(0x80, b"\xe2\x82")].concat(),
            1007,
        ),
        ("surrogate in the first fragment", frame(0x01, b"\xed\xa0\x80"), 1007),
        ("half a close code", frame(0x88, b"\x03"), 1002),
        ("close 1005", frame(0x88, b"\x03\xed"), 1002),
        ("close reason", frame(0x88, b"\x03\xe8\xff"), 1007),
    ];
    for (name, bytes, code) in cases {
        assert_eq!(read(&bytes).unwrap_err().code, code, "{name}");
        assert_eq!(read_in(&bytes, &[1]).unwrap_err().code, code, "{name}, byte by byte");
    }
}

/// Where compression was agreed, messages may be compressed, and nothing else changes.
#[test]
fn compressed_messages() {
    let compressed =
        |text, payload: &[u8]| Incoming::Compressed { text, payload: Bytes::copy_from_slice(payload) };
    let (one, two) = (frame(0x41, b"\xff"), frame(0x80, b"\xfe"));
    let most = compressed_bytes_max(LIMIT);
    assert_eq!(most, LIMIT + LIMIT / 8 + 1024);
    type Expected = Result<Vec<Incoming>, u16>;
    let cases: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("text", frame(0xc1, b"\xff"), Ok(vec![compressed(true, b"\xff")])),
        ("binary", frame(0xc2, b"a"), Ok(vec![compressed(false, b"a")])),
        ("empty", frame(0xc1, b""), Ok(vec![compressed(true, b"")])),
        ("in fragments", [one.clone(), two.clone()].concat(), Ok(vec![compressed(true, b"\xff\xfe")])),
        (
            "with a ping between",
            [one.clone(), frame(0x89, b"p"), two.clone()].concat(),
            Ok(vec![Incoming::Ping(Bytes::from_static(b"p")), compressed(true, b"\xff\xfe")]),
        ),
        (
            "one that is not",
            [frame(0xc2, b"a"), frame(0x81, b"b"), frame(0x82, b"c")].concat(),
            Ok(vec![compressed(false, b"a"), text("b"), Incoming::Binary(Bytes::from_static(b"c"))]),
        ),
        ("as long as may be", frame(0xc2, &vec![1; most]), Ok(vec![compressed(false, &vec![1; most])])),
        ("too large", frame(0xc2, &vec![1; most + 1]), Err(1009)),
        ("too large together", [frame(0x42, &vec![1; most]), frame(0x80, b"x")].concat(), Err(1009)),
        ("not compressed, and too large", frame(0x82, &[1; LIMIT + 1]), Err(1009)),
        ("not compressed, and not UTF-8", frame(0x81, b"\xff"), Err(1007)),
        ("RSV1 in the second fragment", [one.clone(), frame(0xc0, b"")].concat(), Err(1002)),
        ("RSV1 in the second fragment only", [frame(0x01, b""), frame(0xc0, b"")].concat(), Err(1002)),
        ("RSV1 on a lone continuation", frame(0xc0, b""), Err(1002)),
        ("RSV1 on a ping", frame(0xc9, b""), Err(1002)),
        ("RSV1 on a pong", frame(0xca, b""), Err(1002)),
        ("RSV1 on a close", frame(0xc8, b""), Err(1002)),
        ("RSV1 and RSV2", frame(0xe1, b""), Err(1002)),
        ("RSV2", frame(0xa1, b""), Err(1002)),
        ("RSV3", frame(0x91, b""), Err(1002)),
        ("new message inside of it", [one, frame(0xc1, b"")].concat(), Err(1002)),
    ];
    for (name, bytes, expected) in cases {
        for pieces in [usize::MAX, 1] {
            let reader = FrameReader::new(LIMIT).with_deflate();
            let result = read_with(reader, &bytes, &[pieces]).map_err(|error| error.code);
            assert_eq!(result, expected, "{name}");
        }
    }
}

#[test]
fn wrong_utf8_is_refused_before_the_message_ends() {
    let bytes = frame(0x81, b"abc\xf4\x90\x80\x80 and a long tail that never comes");
    assert_eq!(read(&bytes[..6 + 5]).unwrap_err(), NOT_UTF8);
}

#[test]
fn a_claimed_length_takes_no_memory() {
    let mut reader = FrameReader::new(usize::MAX >> 1);
    let mut head = [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    assert_eq!(reader.read(&mut head.as_mut_slice()), Ok(None));
    let mut some = vec![0; 100];
    assert_eq!(reader.read(&mut some.as_mut_slice()), Ok(None));
    assert!(reader.message.unwrap().data.capacity() <= 256);
}

#[test]
fn an_idle_reader_is_small() {
    assert!(size_of::<FrameReader>() <= 96, "{}", size_of::<FrameReader>());
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        messages in proptest::collection::vec((any::<bool>(), "\\PC{0,80}", 1..5_usize), 0..6),
        pieces in proptest::collection::vec(1..30_usize, 1..6),
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (is_text, payload, fragments) in messages {
            let data = payload.as_bytes();
            let size = data.len().div_ceil(fragments).max(1);
            let parts: Vec<_> = if data.is_empty() { vec![&[][..]] } else { data.chunks(size).collect() };
            for (i, part) in parts.iter().enumerate() {
                let opcode = match (i, is_text) { (0, true) => 1, (0, false) => 2, _ => 0 };
                let fin = if i + 1 == parts.len() { 0x80 } else { 0 };
                bytes.extend(frame(fin | opcode, part));
            }
            let data = Bytes::copy_from_slice(data);
            expected.push(if is_text { Incoming::Text(data) } else { Incoming::Binary(data) });
        }
        prop_assert_eq!(read_in(&bytes, &pieces).unwrap(), expected);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), pieces in proptest::collection::vec(1..9_usize, 1..4)) {
        let one = read(&bytes);
        let many = read_in(&bytes, &pieces);
        prop_assert_eq!(one.is_err(), many.is_err());
    }
}
