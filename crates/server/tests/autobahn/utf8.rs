//! Category 6: text is UTF-8, and what is not is refused at its first wrong byte.
//!
//! From 6.5 on the sequences are those of Markus Kuhn's "UTF-8 decoder capability and stress test",
//! in its order.

use roomcast_bench::ws::frame;

use crate::case::{Case, Chop, FIN, PING, PONG, TEXT, fragments};
use crate::sequences::sequences;

/// A Greek word, a lone surrogate, and a word in ASCII.
pub(crate) const KOSME_SURROGATE_EDITED: &[u8] =
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64";
/// The same with a code point beyond the last one; wrong at byte 12.
const KOSME_BEYOND_EDITED: &[u8] =
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80\x65\x64\x69\x74\x65\x64";
pub(crate) const KOSME: &str = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}";

/// 6: all of them.
pub(crate) fn utf8() -> Vec<Case> {
    let mut cases = valid_in_fragments();
    cases.extend(invalid_in_fragments());
    cases.extend(fail_fast());
    for (group, valid, sequence) in sequences() {
        let case = Case::new(group).send(Chop::Whole, &[frame(TEXT, &sequence)]);
        cases.push(if valid { case.receive(TEXT, sequence) } else { case.failed(1007) });
    }
    cases
}

/// 6.1 and 6.2.
fn valid_in_fragments() -> Vec<Case> {
    let text = "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!";
    let (front, back) = text.split_at(text.find('\u{fc}').unwrap());
    let case = |number: &str, parts: &[&[u8]]| {
        let frames = fragments(TEXT, parts.iter().copied());
        Case::new(number).send(Chop::Whole, &frames).receive(TEXT, parts.concat())
    };
    vec![
        case("6.1.1", &[b""]),
        case("6.1.2", &[b"", b"", b""]),
        case("6.1.3", &[b"", b"middle frame payload", b""]),
        case("6.2.1", &[text.as_bytes()]),
        case("6.2.2", &[front.as_bytes(), back.as_bytes()]),
        case("6.2.3", &text.as_bytes().chunks(1).collect::<Vec<_>>()),
        case("6.2.4", &KOSME.as_bytes().chunks(1).collect::<Vec<_>>()),
    ]
}

/// 6.3.
fn invalid_in_fragments() -> Vec<Case> {
    let octets = fragments(TEXT, KOSME_SURROGATE_EDITED.chunks(1));
    vec![
        Case::new("6.3.1").send(Chop::Whole, &[frame(TEXT, KOSME_SURROGATE_EDITED)]).failed(1007),
        Case::new("6.3.2").send(Chop::Whole, &octets).failed(1007),
    ]
}

/// 6.4. The rest of the message is never sent: it must not take the rest to fail. Between fragments
/// a ping shows that what came before the wrong byte was taken.
fn fail_fast() -> Vec<Case> {
    let wrong_at = KOSME.len() + 1;
    let cuts = [KOSME.len()..wrong_at + 3, wrong_at..wrong_at + 1];
    let mut cases = Vec::new();
    for (i, part) in (1..).zip(cuts.clone()) {
        let first = frame(TEXT & !FIN, &KOSME_BEYOND_EDITED[..part.start]);
        let case = Case::new(format!("6.4.{i}")).send(Chop::Whole, &[first, frame(PING, b"")]);
        let second = frame(0, &KOSME_BEYOND_EDITED[part]);
        cases.push(case.receive(PONG, "").send(Chop::Whole, &[second]).failed(1007));
    }
    let whole = frame(TEXT, KOSME_BEYOND_EDITED);
    let head = whole.len() - KOSME_BEYOND_EDITED.len();
    for (i, part) in (3..).zip(cuts) {
        let first = whole[..head + part.start].to_vec();
        let second = whole[head + part.start..head + part.end].to_vec();
        cases.push(Case::new(format!("6.4.{i}")).send(Chop::Frames, &[first, second]).failed(1007));
    }
    cases
}

/// Beyond the suite: each sequence that is wrong before its end fails there, in a message that goes
/// on; nothing after the byte that shows it is sent.
pub(crate) fn fail_fast_everywhere() -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, _, sequence) in sequences() {
        let Some(shown) = (1..=sequence.len()).find(|end| is_wrong_for_good(&sequence[..*end])) else {
            continue;
        };
        let mut whole = frame(TEXT, &[&sequence, b"and so on".as_slice()].concat());
        whole.truncate(6 + shown);
        cases.push(Case::new(format!("{number} cut")).send(Chop::Whole, &[whole]).failed(1007));
    }
    cases
}

/// Beyond the suite: each sequence in fragments of one byte, and an empty last one. A message that
/// ends within a character fails at that end.
pub(crate) fn sequences_in_fragments() -> Vec<Case> {
    let in_fragments = |(number, valid, sequence): (String, bool, Vec<u8>)| {
        let frames = fragments(TEXT, sequence.chunks(1).chain([[].as_slice()]));
        let case = Case::new(format!("{number} in fragments")).send(Chop::Whole, &frames);
        if valid { case.receive(TEXT, sequence) } else { case.failed(1007) }
    };
    sequences().map(in_fragments).collect()
}

fn is_wrong_for_good(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}
