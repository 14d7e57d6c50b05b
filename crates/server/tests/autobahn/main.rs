//! How strict the WebSocket is: every case of the Autobahn test suite, by its number there, against the real binary on the wire.
//!
//! The suite wants an echo server; a raw connection with `echo=true` in a room of its own is one.
//! Where the suite accepts more than one outcome the strict one is expected, and each failure has its
//! code: 1002, 1007 or 1009. Another member of the room tells which messages were taken. The same
//! bytes go to an independent implementation, and where it differs is listed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod beyond;
mod case;
mod close;
mod compression;
#[path = "../peer/deflate.rs"]
mod deflate;
mod framing;
mod limits;
mod oracle;
mod room;
mod run;
mod sequences;
mod utf8;

use std::collections::{BTreeMap, BTreeSet};

use case::Case;
use compression::Compressed;
use limits::Load;
use room::{Server, fresh_room};
use roomcast_bench::WsClient;
use run::{Outcome, Pace, play};

/// How many cases each category of the suite has; there is no 8, and 11 is empty.
const COUNTS: [(&str, usize); 11] = [
    ("1", 16),
    ("2", 11),
    ("3", 7),
    ("4", 10),
    ("5", 20),
    ("6", 145),
    ("7", 37),
    ("9", 54),
    ("10", 1),
    ("12", 90),
    ("13", 126),
];

/// How many cases of our own there are, without those about compression.
const OWN_COUNT: usize = 12 + 61 + 132;
const OWN_COMPRESSED_COUNT: usize = 16;

/// What the messages of a case about compression have together where no more is asked for, in bytes.
const QUICK_BYTES: usize = 128 << 10;

fn small_cases() -> Vec<Case> {
    let tables = [framing::sizes, framing::pings, framing::reserved_bits, framing::opcodes];
    let more = [framing::fragmentation, utf8::utf8, close::closing, framing::auto_fragmentation];
    tables.into_iter().chain(more).flat_map(|table| table()).collect()
}

fn loads() -> Vec<Load> {
    [limits::large, limits::fragmented, limits::chopped, limits::round_trips]
        .into_iter()
        .flat_map(|table| table())
        .collect()
}

/// Cases that the suite does not have.
fn own_cases() -> Vec<Case> {
    let mut cases = beyond::beyond();
    cases.extend(utf8::fail_fast_everywhere());
    cases.extend(utf8::sequences_in_fragments());
    cases
}

/// Enough to see what is wrong; a server that is silent makes each of them wait.
const FAILURES_MAX: usize = 5;

/// Runs all cases and panics with those that failed.
fn run_all<'a>(cases: impl IntoIterator<Item = &'a Case>, run: impl Fn(&Case) -> Outcome) {
    let failures: Vec<_> = cases
        .into_iter()
        .filter_map(|case| Some(format!("{}: {}", case.number, run(case).err()?)))
        .take(FAILURES_MAX)
        .collect();
    assert!(failures.is_empty(), "failed cases:\n{}", failures.join("\n"));
}

fn run_loads(table: fn() -> Vec<Load>) {
    let server = Server::start();
    for load in table() {
        run_all([&load.case()], |case| server.run_alone(case));
    }
    server.wait_until_idle();
}

#[test]
fn no_case_is_missing() {
    let numbers: Vec<_> = small_cases()
        .into_iter()
        .map(|case| case.number)
        .chain(loads().into_iter().map(|load| load.number))
        .chain(compression::kinds().into_iter().chain(compression::offers()).map(|case| case.number))
        .collect();
    let mut counts = BTreeMap::new();
    for number in &numbers {
        *counts.entry(number.split('.').next().unwrap()).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from(COUNTS));
    let unique: BTreeSet<_> = numbers.iter().collect();
    assert_eq!(unique.len(), numbers.len());
    assert_eq!(own_cases().len(), OWN_COUNT);
    assert_eq!(compression::beyond().len(), OWN_COMPRESSED_COUNT);
}

#[test]
fn framing_pings_opcodes_fragments_text_and_closing() {
    let server = Server::start();
    run_all(&small_cases(), |case| server.run(case));
    server.wait_until_idle();
}

#[test]
fn what_the_suite_leaves_out() {
    let server = Server::start();
    run_all(&own_cases(), |case| server.run(case));
    run_all([&beyond::too_large_by_a_head()], |case| server.run(case));
    server.wait_until_idle();
}

#[test]
fn large_messages() {
    run_loads(limits::large);
}

#[test]
fn many_fragments() {
    run_loads(limits::fragmented);
}

#[test]
fn small_writes() {
    run_loads(limits::chopped);
}

#[test]
fn thousands_of_round_trips() {
    run_loads(limits::round_trips);
}

/// Runs cases about compression, each with so many messages.
fn run_compressed(cases: &[Compressed], messages: impl Fn(&Compressed) -> usize) {
    let server = Server::compressing();
    let run = |case: &Compressed| {
        let mut client = server.connect_offering(&fresh_room(), case.offer);
        Some(format!("{}: {}", case.number, case.run(&mut client, messages(case)).err()?))
    };
    let failures: Vec<_> = cases.iter().filter_map(run).take(FAILURES_MAX).collect();
    assert!(failures.is_empty(), "failed cases:\n{}", failures.join("\n"));
    server.wait_until_idle();
}

#[test]
fn compressed_messages_of_five_kinds() {
    run_compressed(&compression::kinds(), |case| case.messages_of(QUICK_BYTES));
}

#[test]
fn compressed_messages_after_seven_offers() {
    run_compressed(&compression::offers(), |case| case.messages_of(QUICK_BYTES));
}

/// As many messages as the suite sends: ten gigabytes there and back.
#[test]
#[ignore = "takes many minutes; `cargo xtask autobahn` runs it"]
fn compressed_messages_by_the_thousand() {
    for cases in [compression::kinds(), compression::offers()] {
        run_compressed(&cases, |_| compression::MESSAGES);
    }
}

/// Where compression was agreed, everything else is as strict as before.
#[test]
fn compression_changes_nothing_else() {
    let server = Server::compressing();
    run_all(&compression::beyond(), |case| server.run(case));
    // But for the first reserved bit, which now means something.
    let reserved_bits = framing::reserved_bits().into_iter().filter(|case| case.number != "3.4");
    let cases = reserved_bits.chain(framing::fragmentation()).chain(framing::pings());
    run_all(&cases.collect::<Vec<_>>(), |case| server.run(case));
    server.wait_until_idle();
}

/// A peer that is told to go and stays is left alone with its half of the connection.
#[test]
fn a_peer_that_ignores_its_refusal_is_dropped() {
    let server = Server::start();
    let mut lingering = Vec::new();
    for case in [framing::reserved_bits().remove(0), close::closing().remove(1)] {
        let mut client = server.connect(&fresh_room());
        play(&mut client, &case, Pace::InStep).unwrap();
        lingering.push(client);
    }
    server.wait_until_idle();
    drop(lingering);
}

#[test]
fn an_independent_implementation_agrees() {
    oracle::with_oracle(|port| {
        let run = |case: &Case| {
            let mut client = WsClient::raw(port, "/").unwrap();
            let error = play(&mut client, case, Pace::InStep).err()?;
            Some((case.number.clone(), error))
        };
        let small = small_cases();
        let own = own_cases();
        let mut differences: Vec<_> = small.iter().chain(&own).filter_map(run).collect();
        differences.extend(loads().iter().filter_map(|load| run(&load.case())));
        // Not the bytes of what was sent and did not come back.
        let differences: Vec<_> = differences
            .iter()
            .map(|(number, error)| (number.as_str(), error.split(" the bytes ").next().unwrap_or_default()))
            .collect();
        assert_eq!(differences, oracle::DIFFERENCES);
    });
}
