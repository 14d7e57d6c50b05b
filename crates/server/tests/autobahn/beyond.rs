//! What the suite leaves out, though RFC 6455 says it clearly, and the server's own bound.

use roomcast_bench::ws::frame;

use crate::case::{BINARY, CLOSE, CONTINUATION, Case, Chop, FIN, PING, PONG, TEXT};
use crate::run::MESSAGE_BYTES_MAX;

/// Cases with names of their own.
pub(crate) fn beyond() -> Vec<Case> {
    let mut cases = heads();
    cases.extend(too_large());
    cases
}

/// Frame heads that no client may write. What fails is the head: nothing follows it.
fn heads() -> Vec<Case> {
    let bad = |name: &str, bytes: &[u8]| Case::new(name).chopped(bytes.to_vec(), usize::MAX).failed(1002);
    vec![
        // Section 5.1: a server must close upon a frame that is not masked.
        bad("unmasked text", b"\x81\x05Hello"),
        bad("unmasked ping", b"\x89\x00"),
        bad("unmasked close", b"\x88\x02\x03\xe8"),
        // Section 5.2: the shortest form of a length must be used.
        bad("125 in 16 bits", &[BINARY, 0xfe, 0, 125, 0, 0, 0, 0]),
        bad("65535 in 64 bits", &head(BINARY, 65535)),
        bad("length with the highest bit", &head(BINARY, 1 << 63)),
        // Section 5.5: control frames are short, in whichever form their length is written.
        bad("ping of 125 in 16 bits", &[PING, 0xfe, 0, 125, 0, 0, 0, 0]),
        bad("close of 70000", &head(CLOSE, 70_000)),
        // Section 5.4: a control frame in the middle of a message does not end it.
        Case::new("ping between continuation and new text")
            .send(
                Chop::Whole,
                &[frame(TEXT & !FIN, b"a"), frame(PING, b"p"), frame(0, b"b"), frame(TEXT, b"c")],
            )
            .receive(PONG, "p")
            .failed(1002),
    ]
}

/// A message larger than the server takes fails.
fn too_large() -> Vec<Case> {
    let [half, rest] = [0, 1].map(|more| vec![b'x'; MESSAGE_BYTES_MAX / 2 + more]);
    let fragments = [frame(BINARY & !FIN, &half), frame(CONTINUATION, &rest)];
    let head = |name: &str, len| Case::new(name).chopped(head(BINARY, len), usize::MAX).failed(1009);
    vec![
        head("head of a message that is too large", MESSAGE_BYTES_MAX as u64 + 1),
        head("head of the largest length", (1 << 63) - 1),
        Case::new("fragments that are too large together").send(Chop::Whole, &fragments).failed(1009),
    ]
}

/// Not for the oracle, which waits for the data of a fragment before it adds up.
pub(crate) fn too_large_by_a_head() -> Case {
    let begin = frame(BINARY & !FIN, &vec![b'x'; MESSAGE_BYTES_MAX / 2]);
    let announced = head(CONTINUATION, MESSAGE_BYTES_MAX as u64 / 2 + 1);
    Case::new("head of a fragment that is too large").send(Chop::Whole, &[begin, announced]).failed(1009)
}

/// A head with the long form of a length.
fn head(first: u8, len: u64) -> Vec<u8> {
    [&[first, 0xff], &len.to_be_bytes()[..], &[0; 4]].concat()
}
