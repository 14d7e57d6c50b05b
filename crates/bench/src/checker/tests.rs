//! The checker sees faults that were planted.

use super::*;

const ROOM: &str = "a";

fn id(offset: u64) -> Id {
    Id { epoch: 7, offset }
}

fn message(number: u64) -> Message {
    Message { publisher: (number % 3) as u32, number: number as u32 }
}

fn heard(number: u64) -> Heard {
    Heard::Message { id: id(number), message: message(number) }
}

fn ledger(count: u64) -> Ledger {
    let mut ledger = Ledger::default();
    (0..count).for_each(|number| ledger.accept(ROOM, id(number), message(number)));
    ledger
}

fn verdict(ledger: &Ledger, heard: &[Heard]) -> Report {
    let mut record = Record::new("client");
    heard.iter().for_each(|heard| record.hear(ROOM, *heard));
    check(ledger, &[record])
}

/// A newcomer who hears these.
fn of(heard_after: &[Heard]) -> Vec<Heard> {
    let mut all = vec![Heard::Begins { at: Some(Id::START) }];
    all.extend(heard_after);
    all
}

fn kinds(report: &Report) -> Vec<FaultKind> {
    report.faults.iter().map(|fault| fault.kind).collect()
}

#[test]
fn texts_are_read_as_they_are_written() {
    assert_eq!(Message::parse(&message(5).to_string()), Some(message(5)));
    assert_eq!(Id::parse(&id(5).to_string()), Some(id(5)));
    assert_eq!((Message::parse("{}"), Id::parse("5")), (None, None));
}

#[test]
fn all_is_well() {
    let mut all: Vec<_> = (0..10).map(heard).collect();
    all.insert(4, Heard::Resumed);
    let report = verdict(&ledger(10), &of(&all));
    assert_eq!((report.deliveries, report.resumed, kinds(&report)), (10, 1, vec![]));
    let late: Vec<_> = [Heard::Begins { at: Some(id(6)) }].into_iter().chain((7..10).map(heard)).collect();
    assert_eq!(kinds(&verdict(&ledger(10), &late)), []);
}

#[test]
fn a_dropped_message_is_seen() {
    for dropped in 0..10_u64 {
        let all: Vec<_> = (0..10).filter(|number| *number != dropped).map(heard).collect();
        let after = if dropped == 0 { Id::START } else { id(dropped - 1) };
        let before = (dropped < 9).then(|| id(dropped + 1));
        assert_eq!(kinds(&verdict(&ledger(10), &of(&all))), [FaultKind::Lost { after, before }]);
        // A word that nothing is missing does not cover it.
        let mut resumed = all.clone();
        resumed.insert(dropped as usize, Heard::Resumed);
        assert_eq!(verdict(&ledger(10), &of(&resumed)).faults.len(), 1);
    }
}

#[test]
fn a_doubled_message_is_seen() {
    for doubled in 0..9_u64 {
        for distance in 1..10 - doubled {
            let mut all: Vec<_> = (0..10).map(heard).collect();
            all.insert((doubled + distance) as usize, heard(doubled));
            assert_eq!(kinds(&verdict(&ledger(10), &of(&all))), [FaultKind::Doubled(id(doubled))]);
        }
    }
}

#[test]
fn swapped_messages_are_seen() {
    for place in 0..9 {
        let mut all: Vec<_> = (0..10).map(heard).collect();
        all.swap(place, place + 1);
        assert_eq!(kinds(&verdict(&ledger(10), &of(&all))), [FaultKind::OutOfOrder(id(place as u64))]);
    }
}

#[test]
fn a_gap_is_covered_by_a_truthful_word_in_its_place_only() {
    let (before, after): (Vec<_>, Vec<_>) = ((0..3).map(heard).collect(), (6..10).map(heard).collect());
    for word in [Heard::Missed { at: Some(id(5)) }, Heard::Missed { at: None }, Heard::Reset] {
        let told = of(&[&before[..], &[word], &after].concat());
        let report = verdict(&ledger(10), &told);
        assert_eq!((report.told, report.told_messages, kinds(&report)), (1, 3, vec![]));
        let too_early = of(&[&before[..2], &[word], &before[2..], &after].concat());
        assert!(!verdict(&ledger(10), &too_early).faults.is_empty(), "{word:?}");
        let too_late = of(&[&before[..], &after[..1], &[word], &after[1..]].concat());
        assert!(!verdict(&ledger(10), &too_late).faults.is_empty(), "{word:?}");
    }
    // More is missing than was said.
    let told = of(&[&before[..], &[Heard::Missed { at: Some(id(4)) }], &after].concat());
    assert_eq!(kinds(&verdict(&ledger(10), &told)), [FaultKind::Lost { after: id(4), before: Some(id(6)) }]);
    // Nothing came afterwards.
    let told = of(&[&before[..], &[Heard::Reset]].concat());
    assert_eq!(kinds(&verdict(&ledger(10), &told)), [FaultKind::Lost { after: id(2), before: None }]);
}

/// Who has no ids is promised nothing of the time without a connection, and everything of the time with one.
#[test]
fn a_new_beginning_excuses_what_was_before_it_only() {
    let connections = |parts: &[&[u64]]| -> Vec<_> {
        parts
            .iter()
            .flat_map(|part| [Heard::Anew].into_iter().chain(part.iter().copied().map(heard)))
            .collect()
    };
    let kinds_of = |parts: &[&[u64]]| kinds(&verdict(&ledger(10), &connections(parts)));
    assert_eq!(kinds_of(&[&[1, 2, 3], &[], &[6, 7, 8, 9]]), []);
    assert_eq!(kinds_of(&[&[1, 2, 3], &[]]), []);
    let lost = |after, before: Option<u64>| FaultKind::Lost { after: id(after), before: before.map(id) };
    assert_eq!(kinds_of(&[&[1, 3], &[6, 7, 8, 9]]), [lost(1, Some(3))]);
    assert_eq!(kinds_of(&[&[1, 2], &[6, 7, 8]]), [lost(8, None)]);
    assert_eq!(kinds_of(&[&[1, 2], &[2, 3], &[9]]), [FaultKind::Doubled(id(2))]);
    assert_eq!(kinds_of(&[&[4, 5], &[2, 3], &[9]]), [2, 3].map(|n| FaultKind::OutOfOrder(id(n))));
}

#[test]
fn a_word_without_need_is_seen() {
    for word in [Heard::Missed { at: Some(id(4)) }, Heard::Missed { at: None }, Heard::Reset] {
        let mut all: Vec<_> = (0..10).map(heard).collect();
        all.insert(5, word);
        assert_eq!(kinds(&verdict(&ledger(10), &of(&all))), [FaultKind::Needless(id(5))]);
    }
}

#[test]
fn a_new_history_must_be_told() {
    let mut ledger = ledger(3);
    let mut all: Vec<_> = (0..3).map(heard).collect();
    let anew = |offset| (Id { epoch: 8, offset }, message(10 + offset));
    let mut told = all.clone();
    told.push(Heard::Reset);
    for offset in 0..3 {
        let (id, message) = anew(offset);
        ledger.accept(ROOM, id, message);
        all.push(Heard::Message { id, message });
        told.push(Heard::Message { id, message });
    }
    assert_eq!(kinds(&verdict(&ledger, &of(&told))), []);
    let lost = FaultKind::Lost { after: id(2), before: Some(anew(0).0) };
    assert_eq!(kinds(&verdict(&ledger, &of(&all))), [lost]);
    // Who saw nothing of the old one has lost it.
    let lost = FaultKind::Lost { after: Id::START, before: Some(anew(0).0) };
    assert_eq!(kinds(&verdict(&ledger, &of(&all[3..]))), [lost]);
}

#[test]
fn wrong_contents_and_publications_are_seen() {
    let mut all: Vec<_> = (0..3).map(heard).collect();
    all[1] = Heard::Message { id: id(1), message: message(2) };
    assert_eq!(kinds(&verdict(&ledger(3), &of(&all))), [FaultKind::Wrong(id(1), message(2))]);
    let mut twice = ledger(3);
    twice.accept(ROOM, id(3), message(1));
    let all: Vec<_> = (0..3).map(heard).chain([Heard::Message { id: id(3), message: message(1) }]).collect();
    assert_eq!(kinds(&verdict(&twice, &of(&all))), [FaultKind::PublishedTwice(id(3), message(1))]);
    let mut same = ledger(3);
    same.accept(ROOM, id(2), message(5));
    assert!(verdict(&same, &of(&all)).faults.iter().any(|fault| fault.kind == FaultKind::SameId(id(2))));
    let mut order = ledger(3);
    order.accept(ROOM, id(3), message(6));
    order.accept(ROOM, id(4), message(3));
    let report = check(&order, &[]);
    assert_eq!(kinds(&report), [FaultKind::PublisherOrder(id(4))]);
}

#[test]
fn what_is_in_doubt_may_come_or_not_but_to_everyone() {
    let mut ledger = ledger(3);
    ledger.doubt(ROOM, message(4));
    let without: Vec<_> = (0..3).map(heard).collect();
    assert_eq!(kinds(&verdict(&ledger, &of(&without))), []);
    let doubted = Heard::Message { id: id(3), message: message(4) };
    let with: Vec<_> = without.iter().copied().chain([doubted]).collect();
    assert_eq!(kinds(&verdict(&ledger, &of(&with))), []);
    let mut records = [Record::new("one"), Record::new("two")];
    of(&without).iter().for_each(|heard| records[0].hear(ROOM, *heard));
    of(&with).iter().for_each(|heard| records[1].hear(ROOM, *heard));
    let report = check(&ledger, &records);
    assert_eq!(kinds(&report), [FaultKind::Lost { after: id(2), before: None }]);
    assert_eq!(report.faults[0].client, "one");
}
