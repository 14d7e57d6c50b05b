//! Categories 1 to 5 and 10: framing, pings, reserved bits, opcodes, fragmentation.

use roomcast_bench::ws::frame;

use crate::case::{BINARY, CHOPS, CONTINUATION, Case, Chop, PING, PONG, TEXT, fragments};

const HELLO: &[u8] = b"Hello, world!";

/// 1: whole messages around the borders of the three forms of a length.
pub(crate) fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, first, byte) in [(1, TEXT, b'*'), (2, BINARY, 0xfe)] {
        let sizes = [0, 125, 126, 127, 128, 65535, 65536, 65536];
        for (i, size) in sizes.into_iter().enumerate() {
            let payload = vec![byte; size];
            // The last one is the one before it in uneven pieces.
            let chop = if i == 7 { 997 } else { usize::MAX };
            let case = Case::new(format!("1.{group}.{}", i + 1)).chopped(frame(first, &payload), chop);
            cases.push(case.receive(first, payload));
        }
    }
    cases
}

/// 2: pings are answered with their payload, pongs that nobody asked for are not.
pub(crate) fn pings() -> Vec<Case> {
    let longest: &[u8] = &[0xfe; 125];
    let ping = |number: &str, payload: &[u8], chop| {
        Case::new(number).send(chop, &[frame(PING, payload)]).receive(PONG, payload)
    };
    let unsolicited = frame(PONG, b"unsolicited pong payload");
    vec![
        ping("2.1", b"", Chop::Whole),
        ping("2.2", HELLO, Chop::Whole),
        ping("2.3", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", Chop::Whole),
        ping("2.4", longest, Chop::Whole),
        Case::new("2.5").send(Chop::Whole, &[frame(PING, &[0xfe; 126])]).failed(1002),
        ping("2.6", longest, Chop::Octets),
        Case::new("2.7").send(Chop::Whole, &[frame(PONG, b"")]),
        Case::new("2.8").send(Chop::Whole, std::slice::from_ref(&unsolicited)),
        Case::new("2.9")
            .send(Chop::Whole, &[unsolicited, frame(PING, b"ping payload")])
            .receive(PONG, "ping payload"),
        ten_pings("2.10", Chop::Whole),
        ten_pings("2.11", Chop::Octets),
    ]
}

fn ten_pings(number: &str, chop: Chop) -> Case {
    let payloads: Vec<_> = (0..10).map(|i| format!("payload-{i}")).collect();
    let frames: Vec<_> = payloads.iter().map(|payload| frame(PING, payload.as_bytes())).collect();
    payloads
        .into_iter()
        .fold(Case::new(number).send(chop, &frames), |case, payload| case.receive(PONG, payload))
}

/// 3: reserved bits, all their combinations.
pub(crate) fn reserved_bits() -> Vec<Case> {
    let mut cases =
        vec![Case::new("3.1").send(Chop::Whole, &[frame(with_reserved(TEXT, 1), HELLO)]).failed(1002)];
    for (rsv, chop) in (2..).zip(CHOPS) {
        cases.push(after_hello(&format!("3.{rsv}"), chop, frame(with_reserved(TEXT, rsv), HELLO)));
    }
    // 3.6 is described as a ping; what the suite sends is a binary message.
    for (rsv, first, payload) in [(5, BINARY, HELLO), (6, BINARY, HELLO), (7, crate::case::CLOSE, b"")] {
        let bad = frame(with_reserved(first, rsv), payload);
        cases.push(Case::new(format!("3.{rsv}")).send(Chop::Whole, &[bad]).failed(1002));
    }
    cases
}

fn with_reserved(first: u8, bits: u8) -> u8 {
    first | bits << 4
}

/// A text that is echoed, then a frame that fails, then a ping that is not answered.
fn after_hello(number: &str, chop: Chop, bad: Vec<u8>) -> Case {
    Case::new(number)
        .send(chop, &[frame(TEXT, HELLO)])
        .echo(TEXT, HELLO)
        .send(chop, &[bad, frame(PING, b"")])
        .failed(1002)
}

/// 4: reserved opcodes, for data and for control.
pub(crate) fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, first_opcode) in [(1, 0x83), (2, 0x8b)] {
        let number = |i: u8| format!("4.{group}.{i}");
        let opcode = |i: u8| first_opcode + i - 1;
        let lone: [(u8, &[u8]); 2] = [(1, b""), (2, b"reserved opcode payload")];
        for (i, payload) in lone {
            cases.push(Case::new(number(i)).send(Chop::Whole, &[frame(opcode(i), payload)]).failed(1002));
        }
        let later: [(u8, &[u8], Chop); 3] =
            [(3, b"", Chop::Whole), (4, HELLO, Chop::Whole), (5, HELLO, Chop::Octets)];
        for (i, payload, chop) in later {
            cases.push(after_hello(&number(i), chop, frame(opcode(i), payload)));
        }
    }
    cases
}

/// 5: fragments, and control frames between them.
pub(crate) fn fragmentation() -> Vec<Case> {
    let two: Vec<_> = fragments(TEXT, [b"fragment1".as_slice(), b"fragment2"]);
    let mut cases = vec![fragmented_control("5.1", PING), fragmented_control("5.2", PONG)];
    for (i, chop) in (3..).zip(CHOPS) {
        cases.push(Case::new(format!("5.{i}")).send(chop, &two).receive(TEXT, "fragment1fragment2"));
    }
    let with_ping = [two[0].clone(), frame(PING, b"ping payload"), two[1].clone()];
    for (i, chop) in (6..).zip(CHOPS) {
        let case = Case::new(format!("5.{i}")).send(chop, &with_ping);
        cases.push(case.receive(PONG, "ping payload").receive(TEXT, "fragment1fragment2"));
    }
    for (i, first) in [(9, CONTINUATION), (12, 0)] {
        let frames = [frame(first, b"non-continuation payload"), frame(TEXT, HELLO)];
        for (i, chop) in (i..).zip(CHOPS) {
            cases.push(Case::new(format!("5.{i}")).send(chop, &frames).failed(1002));
        }
    }
    cases.push(
        Case::new("5.15")
            .send(Chop::Whole, &two)
            .echo(TEXT, "fragment1fragment2")
            .send(Chop::Whole, &[frame(0, b"fragment3"), frame(TEXT, b"fragment4")])
            .failed(1002),
    );
    cases.push(twice_nothing_to_continue("5.16", 0));
    cases.push(twice_nothing_to_continue("5.17", CONTINUATION));
    let both_text = [frame(TEXT & !0x80, b"fragment1"), frame(TEXT, b"fragment2")];
    cases.push(Case::new("5.18").send(Chop::Whole, &both_text).failed(1002));
    cases.push(five_fragments("5.19", Chop::Whole));
    cases.push(five_fragments("5.20", Chop::Frames));
    cases
}

fn fragmented_control(number: &str, first: u8) -> Case {
    let frames = fragments(first, [b"fragment1".as_slice(), b"fragment2"]);
    Case::new(number).send(Chop::Whole, &frames).failed(1002)
}

fn twice_nothing_to_continue(number: &str, first: u8) -> Case {
    let mut frames = vec![frame(first, b"fragment1")];
    frames.extend(fragments(TEXT, [b"fragment2".as_slice(), b"fragment3"]));
    Case::new(number).send(Chop::Whole, &[frames.clone(), frames].concat()).failed(1002)
}

/// The first pong comes before the rest of the message is sent.
fn five_fragments(number: &str, chop: Chop) -> Case {
    let parts = ["fragment1", "fragment2", "fragment3", "fragment4", "fragment5"];
    let [one, two, three, four, five] =
        fragments(TEXT, parts.map(str::as_bytes)).try_into().expect("five parts make five frames");
    Case::new(number)
        .send(chop, &[one, two, frame(PING, b"pongme 1!")])
        .receive(PONG, "pongme 1!")
        .send(chop, &[three, four, frame(PING, b"pongme 2!"), five])
        .receive(PONG, "pongme 2!")
        .receive(TEXT, parts.concat())
}

/// 10: a message that the client's library has cut by itself.
pub(crate) fn auto_fragmentation() -> Vec<Case> {
    let payload = [b'*'; 65536];
    let frames = fragments(TEXT, payload.chunks(1300));
    assert_eq!(frames.len(), 51);
    vec![Case::new("10.1.1").send(Chop::Whole, &frames).receive(TEXT, payload)]
}
