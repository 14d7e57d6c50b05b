//! Gaps, duplicates, new epochs and lost history, by tables and by a random broker.

use proptest::prelude::*;
use roomcast_protocol::{Payload, Publication, Room};

use super::*;

fn at(offset: u64) -> Position {
    Position { epoch: 5, offset }
}

fn message(position: Position) -> Publication {
    let plain = Publication::plain(Room::parse("a").unwrap(), Payload::untyped("x"));
    Publication { position: Some(position), ..plain }
}

fn push(position: Position) -> Arc<Push> {
    Arc::new(Push::new(message(position)))
}

fn page(top: Option<Position>, messages: &[Position]) -> HistoryPage {
    HistoryPage {
        top,
        gone: false,
        first_epoch: true,
        messages: messages.iter().copied().map(message).collect(),
    }
}

/// A tracker that has let everything through up to `at(last)`.
fn tracker(last: u64) -> Tracker {
    let mut tracker = Tracker::default();
    assert_eq!(tracker.subscribed(), None);
    let all: Vec<_> = (0..=last).map(at).collect();
    let outcome = tracker.read(page(Some(at(last)), &all));
    assert!(!outcome.reset && outcome.deliver.is_empty() && outcome.read.is_none());
    tracker
}

fn positions(outcome: &Outcome) -> Vec<Position> {
    outcome.deliver.iter().map(|push| push.publication().position.unwrap()).collect()
}

#[test]
fn what_follows_is_delivered_and_duplicates_are_not() {
    let mut t = tracker(3);
    assert_eq!(t.receive(&push(at(4))), Step::Deliver);
    assert_eq!(t.receive(&push(at(4))), Step::Nothing);
    assert_eq!(t.receive(&push(at(2))), Step::Nothing);
    assert_eq!(t.last(), Some(at(4)));
}

#[test]
fn a_gap_is_read_before_anything_goes_on() {
    let mut t = tracker(3);
    assert_eq!(t.receive(&push(at(6))), Step::Read { after: at(3) });
    assert_eq!(t.receive(&push(at(7))), Step::Nothing);
    let outcome = t.read(page(Some(at(6)), &[at(4), at(5), at(6)]));
    assert_eq!(positions(&outcome), [at(4), at(5), at(6), at(7)]);
    assert!(!outcome.reset && outcome.read.is_none() && !t.is_reading());
}

#[test]
fn long_gaps_are_read_page_by_page() {
    let mut t = tracker(3);
    t.receive(&push(at(9)));
    let outcome = t.read(page(Some(at(9)), &[at(4), at(5)]));
    assert_eq!((positions(&outcome), outcome.read), (vec![at(4), at(5)], Some(at(5))));
    let outcome = t.read(page(Some(at(9)), &[at(6), at(7), at(8), at(9)]));
    assert_eq!(positions(&outcome), [at(6), at(7), at(8), at(9)]);
    assert!(!t.is_reading());
}

#[test]
fn what_history_cannot_cover_is_a_reset() {
    let mut t = tracker(3);
    t.receive(&push(at(9)));
    let outcome = t.read(page(Some(at(9)), &[at(8), at(9)]));
    assert!(outcome.reset && outcome.lost.is_none());
    assert_eq!(positions(&outcome), [at(8), at(9)]);
    assert!(t.since(at(3)).is_none());
}

#[test]
fn a_new_epoch_is_a_reset() {
    let mut t = tracker(3);
    let new = |offset| Position { epoch: 6, offset };
    assert_eq!(t.receive(&push(new(0))), Step::Read { after: at(3) });
    let outcome = t.read(page(Some(new(1)), &[new(0), new(1)]));
    assert!(outcome.reset);
    assert_eq!(positions(&outcome), [new(0), new(1)]);
    assert_eq!(t.receive(&push(new(2))), Step::Deliver);
}

#[test]
fn history_that_is_gone_is_a_reset_once() {
    let mut t = tracker(3);
    assert_eq!(t.subscribed(), Some(at(3)));
    let gone = || HistoryPage { gone: true, ..page(None, &[]) };
    let outcome = t.read(gone());
    assert!(outcome.reset && outcome.lost.is_none() && !t.is_reading());
    t.subscribed();
    assert!(!t.read(gone()).reset);
    assert_eq!(t.receive(&push(Position { epoch: 9, offset: 0 })), Step::Deliver);
}

#[test]
fn history_that_goes_back_has_lost_something() {
    let mut t = tracker(3);
    t.subscribed();
    let outcome = t.read(page(Some(at(1)), &[]));
    assert!(outcome.reset);
    assert_eq!((outcome.lost, t.last()), (Some(at(3)), Some(at(1))));
}

#[test]
fn an_empty_room_begins_at_its_first_message() {
    let mut t = Tracker::default();
    t.subscribed();
    assert_eq!(t.receive(&push(at(0))), Step::Nothing);
    let outcome = t.read(page(None, &[]));
    assert_eq!((positions(&outcome), outcome.reset), (vec![at(0)], false));
    assert!(t.since(Position::BEFORE_EVERYTHING).is_none(), "the broker knows whether it is the first epoch");
}

#[test]
fn recent_messages_serve_those_who_come_back() {
    let mut t = tracker(3);
    t.receive(&push(at(4)));
    let since = |t: &Tracker, offset| t.since(at(offset)).map(|all| all.len());
    assert_eq!((since(&t, 4), since(&t, 2), since(&t, 9)), (Some(0), Some(2), None));
    for offset in 5..1000 {
        assert_eq!(t.receive(&push(at(offset))), Step::Deliver);
    }
    assert!(t.recent.len() <= RECENT_MESSAGES_MAX);
    assert_eq!(since(&t, 10), None);
    assert_eq!(since(&t, 990), Some(9));
}

#[test]
fn what_can_never_follow_is_not_read_for_ever() {
    // Flushed while the room was read: what waits is ahead of a history that begins anew.
    let mut t = tracker(3);
    t.receive(&push(at(7)));
    let mut reads = 0;
    let outcome = loop {
        reads += 1;
        let outcome = t.read(HistoryPage { gone: true, ..page(None, &[]) });
        if outcome.read.is_none() {
            break outcome;
        }
    };
    assert!(reads <= 5 && outcome.reset && !t.is_reading(), "{reads} reads");
    assert_eq!(positions(&outcome), [at(7)]);
    // Reads that had nothing to bring do not count, however many: the next gap is read.
    let mut t = tracker(3);
    for _ in 0..10 {
        t.subscribed();
        assert!(!t.read(page(Some(at(3)), &[])).reset);
    }
    assert_eq!(t.receive(&push(at(5))), Step::Read { after: at(3) });
    let outcome = t.read(page(Some(at(3)), &[]));
    assert_eq!((outcome.reset, outcome.read), (false, Some(at(3))));
    // Of an epoch that is over.
    let mut t = tracker(3);
    t.subscribed();
    t.receive(&push(at(4)));
    let new = Position { epoch: 6, offset: 0 };
    let outcome = t.read(page(Some(new), &[new]));
    assert_eq!((positions(&outcome), outcome.read, outcome.reset), (vec![new], None, true));
}

#[test]
fn what_does_not_fit_while_reading_is_read_later() {
    let mut t = tracker(3);
    t.receive(&push(at(5)));
    for offset in 6..6 + WAITING_MESSAGES_MAX as u64 {
        assert_eq!(t.receive(&push(at(offset))), Step::Nothing);
    }
    let outcome = t.read(page(Some(at(5)), &[at(4), at(5)]));
    assert_eq!(outcome.read, Some(*positions(&outcome).last().unwrap()));
    assert!(t.is_reading());
}

proptest! {
    /// Messages are lost and doubled on the way; reads see the history at any later moment. What is
    /// delivered is exactly the history, in order.
    #[test]
    fn nothing_is_lost_doubled_or_swapped(
        fates in proptest::collection::vec(0..4_u8, 1..200),
        delays in proptest::collection::vec(0..5_usize, 1..20),
        page_size in 1..8_usize,
    ) {
        let mut tracker = Tracker::default();
        tracker.subscribed();
        let mut delivered: Vec<Position> = Vec::new();
        let mut read: Option<Option<Position>> = Some(None);
        let mut countdown = 2;
        let mut delays = delays.into_iter().cycle();
        let count = fates.len() as u64;
        let answer = |after: Option<Position>, published: u64| match after {
            None => page(published.checked_sub(1).map(at), &[]),
            Some(after) => {
                let first = if after.is_before_everything() { 0 } else { after.offset + 1 };
                let messages: Vec<_> = (first..published).take(page_size).map(at).collect();
                page(published.checked_sub(1).map(at), &messages)
            }
        };
        let mut begin = None;
        for (offset, fate) in fates.into_iter().enumerate().map(|(i, f)| (i as u64, f)).chain([(count, 1)]) {
            let copies = match fate { 0 => 0, 3 => 2, _ => 1 };
            for _ in 0..copies {
                match tracker.receive(&push(at(offset))) {
                    Step::Deliver => delivered.push(at(offset)),
                    Step::Nothing => {}
                    Step::Read { after } => { read = Some(Some(after)); countdown = delays.next().unwrap(); }
                }
            }
            while let Some(after) = read {
                if countdown > 0 && offset < count { countdown -= 1; break; }
                let outcome = tracker.read(answer(after, offset + 1));
                prop_assert!(!outcome.reset);
                if after.is_none() { begin = Some(tracker.start()); }
                delivered.extend(positions(&outcome));
                read = outcome.read.map(Some);
                countdown = delays.next().unwrap();
            }
        }
        let first = begin.map_or(0, |begin| if begin.is_before_everything() { 0 } else { begin.offset + 1 });
        let first = delivered.first().map_or(first, |p| p.offset.min(first));
        prop_assert_eq!(delivered, (first..=count).map(at).collect::<Vec<_>>());
    }
}
