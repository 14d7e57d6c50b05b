//! Which core a connection lives on.
//!
//! The acceptor gives each to the least loaded core. A message of a room whose few members are on one core wakes that
//! core only, and waking is most of what a small room costs; so a core that finds another room's name in the request
//! hands the connection on, before anything is read from it. Large rooms are spread: their members are work for all.
//! Where the first core also reads from the broker, small rooms are kept there while it has little to do: their
//! messages then wake nobody else.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use roomcast_protocol::limits::ROOM_BYTES_MAX;
use tokio::sync::mpsc::WeakSender;

use crate::acceptor::{Accepted, Load};

/// Rooms are counted by their hash, in so many counters: 256 KiB, however many rooms there are. Where several rooms
/// share one, they are spread sooner than they need to be.
const COUNTERS: usize = 1 << 16;

/// Connections of a room beyond which it is spread. Writing to so many takes a quarter of a millisecond.
const TOGETHER_MAX: u32 = 64;

/// A core may have so much more than another: a quarter, and a few.
const UNEVEN_SHARE: usize = 4;
const UNEVEN_MIN: usize = 64;

/// Connections up to which the core that reads takes all small rooms: at ten messages a second each they are a fifth of
/// what a core can write.
const BESIDE_READER_MAX: usize = 2048;

/// The share of its time, in percent, beyond which it takes no more of them: what is there already may become four
/// times as busy.
const READER_BUSY_PERCENT_MAX: u32 = 25;

/// How connections are spread over cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlacementPolicy {
    /// Those of a small room together.
    #[default]
    ByRoom,
    /// Each to the core with the fewest.
    LeastLoaded,
}

/// What all cores know about each other, and how many connections ask for which room.
#[derive(Debug)]
pub struct Placement {
    policy: PlacementPolicy,
    /// The first core is also the one that reads from the broker.
    first_reads: bool,
    cores: Vec<(WeakSender<Accepted>, Arc<Load>)>,
    rooms: Box<[AtomicU32]>,
    hash: RandomState,
}

/// A connection that asks for a room, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Asks {
    placement: Arc<Placement>,
    counter: usize,
}

/// What the first bytes of a request say about where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoomHash(u64);

impl Placement {
    pub(crate) fn new(
        policy: PlacementPolicy,
        first_reads: bool,
        cores: Vec<(WeakSender<Accepted>, Arc<Load>)>,
    ) -> Self {
        let rooms = (0..COUNTERS).map(|_| AtomicU32::new(0)).collect();
        Self { policy, first_reads, cores, rooms, hash: RandomState::new() }
    }

    /// What a core has to keep up to date about itself. Only of the one that reads anybody asks.
    pub(crate) fn watched(&self, core: usize) -> Option<Arc<Load>> {
        (self.first_reads && core == 0).then(|| Arc::clone(&self.cores[0].1))
    }

    /// The room that a request asks for, from what there is of it; only a hint. None where it does not matter.
    pub(crate) fn room(&self, request: &[u8]) -> Option<RoomHash> {
        if self.policy == PlacementPolicy::LeastLoaded || self.cores.len() < 2 {
            return None;
        }
        Some(RoomHash(self.hash.hash_one(room_in(request)?)))
    }

    /// Counts a connection that asks for the room, and gives the core on which it should be if that is another.
    pub(crate) fn ask(self: &Arc<Self>, room: RoomHash, here: usize) -> (Asks, Option<usize>) {
        let counter = room.0 as usize % COUNTERS;
        let others = self.rooms[counter].fetch_add(1, Ordering::Relaxed);
        let asks = Asks { placement: Arc::clone(self), counter };
        let home = (others < TOGETHER_MAX).then(|| self.home(room)).flatten();
        (asks, home.filter(|home| *home != here))
    }

    /// The core of a small room, if that can take more.
    fn home(&self, room: RoomHash) -> Option<usize> {
        let first = &self.cores[0].1;
        let is_idle = first.get() < BESIDE_READER_MAX && first.busy_percent() < READER_BUSY_PERCENT_MAX;
        if self.first_reads && is_idle {
            return Some(0);
        }
        // Other bits than those that choose the counter.
        let home = (room.0 >> 32) as usize % self.cores.len();
        self.has_room_for_more(home).then_some(home)
    }

    fn has_room_for_more(&self, core: usize) -> bool {
        let least = self.cores.iter().map(|(_, load)| load.get()).min().unwrap_or(0);
        self.cores[core].1.get() <= least + least / UNEVEN_SHARE + UNEVEN_MIN
    }

    /// Hands a connection to a core; gives it back where that takes none.
    pub(crate) fn hand_over(&self, core: usize, accepted: Accepted) -> Result<(), Accepted> {
        let (queue, load) = &self.cores[core];
        // Gone when the node drains: then everyone stays where it is.
        let Some(queue) = queue.upgrade() else { return Err(accepted) };
        let Ok(place) = queue.try_reserve() else { return Err(accepted) };
        place.send(accepted.moved_to(load));
        Ok(())
    }
}

impl Drop for Asks {
    fn drop(&mut self) {
        self.placement.rooms[self.counter].fetch_sub(1, Ordering::Relaxed);
    }
}

/// The first `room=` in the query of a request line, as it is written there: `GET /ws?room=a HTTP/1.1`.
fn room_in(request: &[u8]) -> Option<&[u8]> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let target = line.strip_prefix(b"GET ")?.split(|byte| *byte == b' ').next()?;
    let query = &target[target.iter().position(|byte| *byte == b'?')? + 1..];
    let mut parameters = query.split(|byte| *byte == b'&');
    let room = parameters.find_map(|parameter| parameter.strip_prefix(b"room="))?;
    // Percent-encoding makes it longer, three bytes for one.
    (!room.is_empty() && room.len() <= 3 * ROOM_BYTES_MAX).then_some(room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptor::core_queue;

    #[test]
    fn the_room_is_found_in_the_request_line() {
        let room = |request: &str| {
            room_in(request.as_bytes()).map(|room| String::from_utf8_lossy(room).into_owned())
        };
        assert_eq!(room("GET /ws?room=a HTTP/1.1\r\nHost: x?room=b"), Some("a".to_owned()));
        assert_eq!(room("GET /sse?token=t&room=chat%3A1&room=b HTTP/1.1\r\n"), Some("chat%3A1".to_owned()));
        // A request may come in pieces; then the rest of a name is not there.
        assert_eq!(room("GET /ws?room=ab"), Some("ab".to_owned()));
        for nothing in [
            "GET /ws HTTP/1.1\r\nX: ?room=a",
            "GET /ws?room= HTTP/1.1",
            "POST /x?room=a HTTP/1.1",
            "GET /ws?broom=a",
            "",
            "PRI * HTTP/2.0\r\n",
        ] {
            assert_eq!(room(nothing), None, "{nothing}");
        }
        let long = format!("GET /ws?room={} HTTP/1.1", "x".repeat(3 * ROOM_BYTES_MAX + 1));
        assert_eq!(room(&long), None);
    }

    #[test]
    fn small_rooms_are_together_and_large_ones_are_not() {
        let loads: Vec<Arc<Load>> = (0..4).map(|_| Arc::default()).collect();
        let queues: Vec<_> = loads.iter().map(|load| core_queue(Arc::clone(load))).collect();
        let cores = queues.iter().map(|(queue, _)| queue.weak()).collect();
        let placement = Arc::new(Placement::new(PlacementPolicy::ByRoom, false, cores));
        let room = placement.room(b"GET /ws?room=small HTTP/1.1\r\n").unwrap();
        let homes: Vec<_> = (0..4).map(|here| placement.ask(room, here)).collect();
        let elsewhere: Vec<_> = homes.iter().filter_map(|(_, home)| *home).collect();
        // All but the one that is there already are sent to the same core.
        assert_eq!(elsewhere.len(), 3);
        assert!(elsewhere.iter().all(|home| *home == elsewhere[0]));
        assert_eq!(homes[elsewhere[0]].1, None);

        let here = (elsewhere[0] + 1) % 4;
        let mut all: Vec<_> = (4..TOGETHER_MAX).map(|_| placement.ask(room, here)).collect();
        assert!(all.iter().all(|(_, home)| home.is_some()));
        assert_eq!(placement.ask(room, here).1, None, "the room is large now");
        all.clear();
        assert!(placement.ask(room, here).1.is_some(), "and small again");

        let many: Vec<_> = (0..=UNEVEN_MIN).map(|_| loads[elsewhere[0]].take_for_tests()).collect();
        assert_eq!(placement.ask(room, here).1, None, "that core has too many");
        drop(many);
        assert!(placement.ask(room, here).1.is_some());
    }

    #[test]
    fn the_core_that_reads_takes_small_rooms_while_it_has_little_to_do() {
        let loads: Vec<Arc<Load>> = (0..2).map(|_| Arc::default()).collect();
        let queues: Vec<_> = loads.iter().map(|load| core_queue(Arc::clone(load))).collect();
        let cores = queues.iter().map(|(queue, _)| queue.weak()).collect();
        let placement = Arc::new(Placement::new(PlacementPolicy::ByRoom, true, cores));
        let rooms =
            (0..100).map(|n| placement.room(format!("GET /ws?room={n} HTTP/1.1\r\n").as_bytes()).unwrap());
        let rooms: Vec<_> = rooms.collect();
        let homes = || rooms.iter().map(|room| placement.ask(*room, 1).1).collect::<Vec<_>>();
        assert!(homes().iter().all(|home| *home == Some(0)));

        loads[0].set_busy_percent(READER_BUSY_PERCENT_MAX);
        assert!(homes().contains(&None), "a busy one shares");
        loads[0].set_busy_percent(READER_BUSY_PERCENT_MAX - 1);
        assert!(!homes().contains(&None));
        let _many: Vec<_> = (0..BESIDE_READER_MAX).map(|_| loads[0].take_for_tests()).collect();
        assert!(homes().iter().all(Option::is_none), "it has too many more than the other");
    }

    #[test]
    fn least_loaded_asks_for_no_room() {
        let (queue, _incoming) = core_queue(Arc::default());
        let placement = Placement::new(PlacementPolicy::LeastLoaded, true, vec![queue.weak(), queue.weak()]);
        assert_eq!(placement.room(b"GET /ws?room=a HTTP/1.1\r\n"), None);
    }
}
