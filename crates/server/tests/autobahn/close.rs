//! Category 7: closing.

use roomcast_bench::ws::frame;

use crate::case::{CLOSE, Case, Chop, PING, TEXT, close_payload, fragments};
use crate::utf8::KOSME_SURROGATE_EDITED;

/// 7.7: codes that a client may send.
const VALID: [u16; 13] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
/// 7.9: codes that it may not.
const INVALID: [u16; 9] = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];

const HELLO: &[u8] = b"Hello World!";

/// 7: all of them.
pub(crate) fn closing() -> Vec<Case> {
    let mut cases = what_comes_after();
    cases.extend(structure());
    for (i, code) in (1..).zip(VALID) {
        let close = close_payload(code, b"");
        cases.push(closes_with(format!("7.7.{i}"), &close).closed(&close));
    }
    for (i, code) in (1..).zip(INVALID) {
        cases.push(closes_with(format!("7.9.{i}"), &close_payload(code, b"")).failed(1002));
    }
    // The suite only notes what happens here. Codes above 4999 are outside of every range that
    // RFC 6455 speaks of, and are refused like the reserved ones.
    for (i, code) in (1..).zip([5000, 65535]) {
        cases.push(closes_with(format!("7.13.{i}"), &close_payload(code, b"")).failed(1002));
    }
    cases
}

fn closes_with(number: impl Into<String>, payload: &[u8]) -> Case {
    Case::new(number).send(Chop::Whole, &[frame(CLOSE, payload)])
}

/// 7.1: nothing that follows a close frame counts.
fn what_comes_after() -> Vec<Case> {
    let normal = close_payload(1000, b"");
    let close = frame(CLOSE, &normal);
    let [fragment1, fragment2] =
        fragments(TEXT, [b"fragment1".as_slice(), b"fragment2"]).try_into().expect("two parts");
    let long: Vec<u8> = b"BAsd7&jh23".iter().copied().cycle().take(256 * 1024).collect();
    let case = |number: &str, frames: &[Vec<u8>]| Case::new(number).send(Chop::Whole, frames).closed(&normal);
    vec![
        Case::new("7.1.1").send(Chop::Whole, &[frame(TEXT, HELLO)]).receive(TEXT, HELLO),
        case("7.1.2", &[close.clone(), frame(CLOSE, b"")]),
        case("7.1.3", &[close.clone(), frame(PING, b"")]),
        case("7.1.4", &[close.clone(), frame(TEXT, HELLO)]),
        case("7.1.5", &[fragment1, close.clone(), fragment2]),
        Case::new("7.1.6")
            .send(Chop::Whole, &[frame(TEXT, &long), frame(TEXT, HELLO)])
            .echo(TEXT, long)
            .echo(TEXT, HELLO)
            .send(Chop::Whole, &[close, frame(PING, b"")])
            .closed(&normal),
    ]
}

/// 7.3 and 7.5: payloads of close frames, from nothing to one byte too many.
fn structure() -> Vec<Case> {
    let normal = close_payload(1000, b"");
    let longest = close_payload(1000, &[b'*'; 123]);
    vec![
        // RFC 6455, section 7.4.1: 1005 stands for no code, and is never written.
        closes_with("7.3.1", b"").closed(b""),
        closes_with("7.3.2", b"a").failed(1002),
        closes_with("7.3.3", &normal).closed(&normal),
        closes_with("7.3.4", &close_payload(1000, HELLO)).closed(&close_payload(1000, HELLO)),
        closes_with("7.3.5", &longest).closed(&longest),
        closes_with("7.3.6", &close_payload(1000, &[b'*'; 124])).failed(1002),
        closes_with("7.5.1", &close_payload(1000, KOSME_SURROGATE_EDITED)).failed(1007),
    ]
}
