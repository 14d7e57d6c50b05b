//! What waits, what is dropped, and what is told about it: against everything that a reader of it must find.

use std::collections::HashMap;

use proptest::prelude::*;
use roomcast_protocol::Room;

use super::*;
use crate::outbox::ENTRY_COST_BYTES;
use crate::overflow::OverflowPolicy;

const BYTES_MAX: usize = 1500;

/// The longest notice here.
const NOTICE_BYTES_MAX: usize = 16 + ENTRY_COST_BYTES;

/// A backlog, and what the reader has got. Everything in it ends in `]`.
struct Pipe {
    backlog: Backlog,
    stats: ShardStats,
    lanes: HashMap<&'static str, Rc<Lane>>,
    turn: u32,
    pushed: u64,
    written: Vec<u8>,
}

impl Pipe {
    fn new(bytes_max: usize) -> Self {
        let lane = |name, policy| (name, Rc::new(Lane::new(Room::parse(name).unwrap(), policy)));
        let (oldest, latest) = (OverflowPolicy::DropOldest, OverflowPolicy::Latest);
        let lanes = [lane("o", oldest), lane("p", oldest), lane("l", latest), lane("m", latest)];
        Self {
            backlog: Backlog::new(bytes_max, true),
            stats: ShardStats::default(),
            lanes: lanes.into(),
            turn: 0,
            pushed: 0,
            written: Vec::new(),
        }
    }

    /// Queues number `n` of a room or, if there is no such lane, of what may not be dropped.
    fn push(&mut self, name: &str, n: u64, len: usize, field: bool) -> Result<(), Overflow> {
        self.pushed += 1;
        let text = Bytes::from(format!("[{name} {n}{}]", "x".repeat(len)));
        match self.lanes.get(name) {
            None => self.backlog.push(Entry::Reply(text), &self.stats),
            Some(lane) => {
                let field = field.then(|| Bytes::from(format!("[id {name} {n}]")));
                self.backlog.push_droppable(lane, field, Rc::new(text), self.turn, &self.stats)
            }
        }
    }

    /// Writes up to so many bytes, as the outbox does.
    fn write(&mut self, bytes: usize) {
        let notice =
            self.backlog.gap().map(|(lane, count)| Bytes::from(format!("[gap {} {count}]", lane.room)));
        let mut slices = [IoSlice::new(&[]); 64];
        let count = self.backlog.fill(&mut slices);
        let all = notice.iter().map(|notice| &notice[..]).chain(slices[..count].iter().map(|slice| &**slice));
        let all = all.collect::<Vec<_>>().concat();
        let bytes = bytes.min(all.len());
        if let Some(notice) = notice.filter(|_| bytes > 0) {
            self.backlog.tell_gap(notice);
        }
        self.written.extend_from_slice(&all[..bytes]);
        self.backlog.advance(bytes);
    }

    fn write_all(&mut self) -> String {
        while !self.backlog.is_empty() {
            self.write(usize::MAX);
        }
        String::from_utf8(std::mem::take(&mut self.written)).unwrap().replace('x', "")
    }

    fn dropped(&self) -> u64 {
        self.stats.dropped.iter().map(crate::stats::Counter::get).sum()
    }
}

#[test]
fn the_oldest_make_place_and_are_counted_in_one_notice_where_they_were() {
    let mut pipe = Pipe::new(400);
    pipe.push("r", 0, 0, false).unwrap();
    for n in 0..100 {
        pipe.push("o", n, 40, false).unwrap();
        assert!(pipe.backlog.cost() <= 400);
    }
    pipe.push("r", 1, 0, false).unwrap();
    assert_eq!(pipe.write_all(), "[r 0][gap o 97][o 97][o 98][o 99][r 1]");
    assert_eq!(pipe.dropped(), 97);
    pipe.push("o", 100, 0, false).unwrap();
    assert_eq!(pipe.write_all(), "[o 100]");
}

#[test]
fn what_may_not_be_dropped_takes_the_place_of_what_may_and_then_overflows() {
    let mut pipe = Pipe::new(400);
    pipe.push("o", 0, 250, false).unwrap();
    for n in 0..6 {
        pipe.push("r", n, 0, false).unwrap();
    }
    assert_eq!(pipe.push("r", 6, 300, false), Err(Overflow));
    // There is no place for a message that may be dropped, and so it is.
    pipe.push("o", 1, 300, false).unwrap();
    pipe.push("p", 0, 300, false).unwrap();
    assert_eq!(pipe.write_all(), "[gap o 2][r 0][r 1][r 2][r 3][r 4][r 5][gap p 1]");
}

#[test]
fn who_keeps_up_gets_all_of_a_burst_and_who_does_not_the_newest() {
    let mut pipe = Pipe::new(1 << 20);
    for turn in 0..3 {
        pipe.turn = turn;
        let expected: String = (0..50).map(|n| format!("[l {n}]")).collect();
        (0..50).for_each(|n| pipe.push("l", n, 0, false).unwrap());
        assert_eq!(pipe.write_all(), expected);
    }
    // A burst, and nothing is read until the next one.
    for turn in 3..6 {
        pipe.turn = turn;
        for n in 0..5 {
            let n = u64::from(turn) * 5 + n;
            pipe.push("l", n, 0, false).unwrap();
            pipe.push("m", n, 0, false).unwrap();
            pipe.push("r", n, 0, false).unwrap();
        }
    }
    let replies: String = (15..29).map(|n| format!("[r {n}]")).collect();
    assert_eq!(pipe.write_all(), format!("[gap l 14][gap m 14]{replies}[l 29][m 29][r 29]"));
    pipe.turn = 6;
    (0..3).for_each(|n| pipe.push("l", n, 0, false).unwrap());
    assert_eq!(pipe.write_all(), "[l 0][l 1][l 2]", "it has caught up");
}

#[test]
fn the_newest_is_never_dropped_for_another_room() {
    let mut pipe = Pipe::new(600);
    for (turn, n) in (0..10).enumerate() {
        pipe.turn = turn as u32;
        pipe.push("l", n, 200, false).unwrap();
        pipe.push("o", n, 50, false).unwrap();
        pipe.push("m", n, 100, false).unwrap();
    }
    assert_eq!(pipe.write_all(), "[gap l 9][gap o 9][gap m 9][l 9][o 9][m 9]");
    pipe.push("l", 10, 300, false).unwrap();
    assert_eq!(pipe.push("m", 10, 300, false), Err(Overflow), "neither may be missing");
}

#[test]
fn what_is_half_written_stays_and_what_is_told_is_not_changed() {
    let mut pipe = Pipe::new(1000);
    pipe.push("l", 0, 100, false).unwrap();
    pipe.write(10);
    for n in 1..5 {
        pipe.turn += 1;
        pipe.push("l", n, 100, false).unwrap();
    }
    // The notice is under way when one more is dropped.
    pipe.write(200);
    pipe.write(5);
    pipe.turn += 1;
    pipe.push("l", 5, 100, false).unwrap();
    assert_eq!(pipe.write_all(), "[l 0][gap l 3][gap l 1][l 5]");
}

#[test]
fn an_id_goes_with_its_message() {
    let mut pipe = Pipe::new(400);
    for n in 0..9 {
        pipe.push("o", n, 50, true).unwrap();
    }
    assert_eq!(pipe.write_all(), "[gap o 7][id o 7][o 7][id o 8][o 8]");
}

#[test]
fn aborted_only_the_rest_of_what_is_half_written_remains() {
    let mut pipe = Pipe::new(400);
    for n in 0..9 {
        pipe.push("l", n, 50, true).unwrap();
        pipe.push("o", n, 50, true).unwrap();
    }
    pipe.write(1);
    pipe.backlog.clear();
    let whole = pipe.write_all();
    assert_eq!(whole.matches(']').count(), 1, "{whole}");
    assert_eq!(pipe.backlog.cost(), 0);
}

/// A client that never reads, and one that reads a little, may cost a few steps for each message, however much waits.
#[test]
fn nobody_costs_more_than_a_few_steps_a_message() {
    const MESSAGES: u64 = 50_000;
    for (rooms, replies, reads_every) in [
        (&["o"][..], 0, u64::MAX),
        (&["o", "p"], 9000, u64::MAX),
        (&["l"], 0, u64::MAX),
        (&["l", "m"], 9000, u64::MAX),
        (&["l", "o", "m", "p"], 5000, u64::MAX),
        (&["l", "o", "m", "p"], 5000, 7),
        (&["l", "o", "m", "p"], 9, 3),
    ] {
        let mut pipe = Pipe::new(1 << 20);
        (0..replies).for_each(|n| pipe.push("r", n, 0, false).unwrap());
        for n in 0..MESSAGES {
            pipe.turn += u32::from(n % 5 == 0);
            pipe.push(rooms[n as usize % rooms.len()], n, 20, n % 3 == 0).unwrap();
            if n % reads_every == reads_every - 1 {
                pipe.write(60);
            }
        }
        let (steps, slots) = (pipe.backlog.steps, pipe.backlog.slots.len());
        assert!(steps <= 12 * pipe.pushed, "{rooms:?} {replies}: {steps} steps");
        let most = (1 << 20) / ENTRY_COST_BYTES * 4 / 3 + 100;
        assert!(slots <= most, "{rooms:?} {replies}: {slots} slots");
        assert!(pipe.dropped() > 0, "{rooms:?} {replies}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push { room: &'static str, len: usize, field: bool },
    Write(usize),
    Turn,
}

fn step() -> impl Strategy<Value = Step> {
    let room = prop::sample::select(vec!["o", "p", "l", "m", "o", "l", "r", "d"]);
    prop_oneof![
        8 => (room, 0..200_usize, any::<bool>())
            .prop_map(|(room, len, field)| Step::Push { room, len, field }),
        1 => (0..300_usize).prop_map(Step::Write),
        2 => Just(Step::Turn),
    ]
}

/// What a reader makes of what it gets: every message or a count of it, at its place.
#[derive(Default)]
struct Reader {
    /// By room: how many came or were told to be missing.
    seen: HashMap<String, u64>,
    /// By room: whether the last thing was a message.
    ends_with_message: HashMap<String, bool>,
    told: u64,
}

impl Reader {
    fn read(&mut self, text: &str) {
        let mut field = None;
        for part in text.split_inclusive(']') {
            let words: Vec<_> = part.trim_matches(['[', ']']).split(' ').collect();
            match *words {
                ["gap", room, count] => {
                    let count: u64 = count.parse().unwrap();
                    assert!(count > 0);
                    self.told += count;
                    *self.seen.entry(room.to_owned()).or_default() += count;
                    self.ends_with_message.insert(room.to_owned(), false);
                    if let Some((of, n)) = field.take() {
                        assert_eq!((of, n), (room.to_owned(), self.seen[room] - count), "{text}");
                    }
                }
                ["id", room, n] => field = Some((room.to_owned(), n.parse().unwrap())),
                [room, n] => {
                    let seen = self.seen.entry(room.to_owned()).or_default();
                    assert_eq!(n.parse::<u64>().unwrap(), *seen, "{room} in {text}");
                    if let Some(field) = field.take() {
                        assert_eq!(field, (room.to_owned(), *seen));
                    }
                    *seen += 1;
                    self.ends_with_message.insert(room.to_owned(), true);
                }
                _ => panic!("{part}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn everything_comes_or_is_counted_in_order_and_within_the_bound(
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        let mut pipe = Pipe::new(BYTES_MAX);
        let mut published: HashMap<&str, u64> = HashMap::new();
        let mut most = 0;
        for step in steps {
            match step {
                Step::Turn => pipe.turn += 1,
                Step::Write(bytes) => pipe.write(bytes),
                Step::Push { room, len, field } => {
                    let n = published.entry(room).or_default();
                    if pipe.push(room, *n, len, field).is_err() {
                        let left = (1..pipe.backlog.slots.len()).find(|i| pipe.backlog.is_superseded(*i));
                        prop_assert!(left.is_none(), "something could have been dropped");
                        prop_assert!(!room.starts_with(['o', 'p']), "it is never closed for these");
                        // The client is closed.
                        break;
                    }
                    *n += 1;
                }
            }
            let cost: usize = pipe.backlog.slots.iter().map(Slot::cost).sum();
            prop_assert_eq!(cost, pipe.backlog.cost());
            prop_assert!(cost <= BYTES_MAX + NOTICE_BYTES_MAX);
            let vacant = pipe.backlog.slots.iter().filter(|slot| slot.is_vacant()).count();
            prop_assert_eq!(vacant, pipe.backlog.vacant);
            // Writing takes out slots that hold something, and vacant ones only from the front.
            most = most.max(pipe.backlog.slots.len());
            prop_assert!(vacant <= VACANT_MAX + most / VACANT_SHARE);
            prop_assert!(pipe.backlog.slots.iter().filter(|slot| slot.is_gap()).count() <= pipe.lanes.len());
        }
        let superseded = ["l", "m"].map(|room| pipe.lanes[room].newest.get().is_none());
        let text = pipe.write_all();
        let mut reader = Reader::default();
        reader.read(&text);
        for (room, n) in published {
            prop_assert_eq!(reader.seen.get(room).copied().unwrap_or(0), n, "{} in {}", room, text);
        }
        for (room, superseded) in ["l", "m"].into_iter().zip(superseded) {
            let last = reader.ends_with_message.get(room).copied().unwrap_or(true);
            prop_assert!(last || superseded, "the newest of {room} comes: {text}");
        }
        prop_assert_eq!(reader.told, pipe.dropped());
        prop_assert_eq!((pipe.backlog.cost(), pipe.backlog.latest, pipe.backlog.vacant), (0, 0, 0));
        prop_assert!(pipe.backlog.steps <= 12 * pipe.pushed);
    }
}
