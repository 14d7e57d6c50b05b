//! What one client got of one stream: each number once and in order, or how it was otherwise.

use serde::{Deserialize, Serialize};

/// Gaps that are remembered for one client and stream. Beyond it what comes late counts as duplicated, which it may
/// be; the run is broken by then.
const GAPS_MAX: usize = 64;

/// The numbers of one stream that a client got.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// From where on it should have everything; unknown until the first number where it joined while others published.
    base: Option<u64>,
    /// The number that should come next.
    next: u64,
    received: u64,
    /// Numbers before `next` that have not come: first, and behind the last.
    gaps: Vec<(u64, u64)>,
}

/// What a number was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// New, and not before a later one.
    InOrder,
    /// New, but after a later one.
    OutOfOrder,
    /// Had been there before.
    Duplicated,
}

impl Track {
    /// Of a client that is there before the first message.
    pub fn from_start() -> Self {
        Self { base: Some(0), ..Self::default() }
    }

    /// Of a client that joins while messages are published.
    pub fn from_now() -> Self {
        Self::default()
    }

    /// A number has come.
    pub fn receive(&mut self, number: u64) -> Arrival {
        if self.base.is_none() {
            (self.base, self.next) = (Some(number), number);
        }
        if number >= self.next {
            if number > self.next && self.gaps.len() < GAPS_MAX {
                self.gaps.push((self.next, number));
            }
            self.next = number + 1;
            self.received += 1;
            return Arrival::InOrder;
        }
        if self.fill(number) {
            self.received += 1;
            return Arrival::OutOfOrder;
        }
        Arrival::Duplicated
    }

    /// Takes a number out of the gaps, if it is in one.
    fn fill(&mut self, number: u64) -> bool {
        let Some(i) = self.gaps.iter().position(|(first, end)| (*first..*end).contains(&number)) else {
            return false;
        };
        let (first, end) = self.gaps.swap_remove(i);
        self.gaps.extend([(first, number), (number + 1, end)].into_iter().filter(|(first, end)| first < end));
        true
    }

    /// How many are missing of the first `accepted` of the stream.
    pub fn lost(&self, accepted: u64) -> u64 {
        self.base.map_or(0, |base| accepted.saturating_sub(base).saturating_sub(self.received))
    }

    /// How many are missing among those that came: all that is known of a client that has left on its own.
    pub fn lost_between(&self) -> u64 {
        self.base.map_or(0, |base| self.next - base - self.received)
    }
}

/// Sums over the clients of a worker, or of all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Messages that came, without duplicates.
    pub delivered: u64,
    /// Reads that brought messages: with fewer than messages, these had piled up.
    pub reads: u64,
    /// Messages that came again.
    pub duplicated: u64,
    /// Messages that came after later ones.
    pub out_of_order: u64,
    /// Messages that never came.
    pub lost: u64,
    /// Messages in the rooms that are not of this run.
    pub foreign: u64,
    /// Times that the server said that something is lost: `reset`, `dropped`.
    pub told: u64,
    /// Connections that the server ended.
    pub disconnected: u64,
    /// Connections that came to nothing.
    pub failed: u64,
}

impl Counts {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.reads += other.reads;
        self.duplicated += other.duplicated;
        self.out_of_order += other.out_of_order;
        self.lost += other.lost;
        self.foreign += other.foreign;
        self.told += other.told;
        self.disconnected += other.disconnected;
        self.failed += other.failed;
    }

    /// Messages of this run that came, again or not.
    pub fn came(&self) -> u64 {
        self.delivered + self.duplicated
    }

    /// Notes a number that came.
    pub fn note(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::InOrder => self.delivered += 1,
            Arrival::OutOfOrder => {
                self.delivered += 1;
                self.out_of_order += 1;
            }
            Arrival::Duplicated => self.duplicated += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arrival::{Duplicated, InOrder, OutOfOrder};

    fn arrivals(track: &mut Track, numbers: &[u64]) -> Vec<Arrival> {
        numbers.iter().map(|number| track.receive(*number)).collect()
    }

    #[test]
    fn in_order() {
        let mut track = Track::from_start();
        assert_eq!(arrivals(&mut track, &[0, 1, 2]), [InOrder; 3]);
        assert_eq!((track.lost(3), track.lost(5), track.lost_between()), (0, 2, 0));
    }

    #[test]
    fn lost_late_and_twice() {
        let mut track = Track::from_start();
        let all = arrivals(&mut track, &[1, 1, 5, 3, 3, 0, 0, 6]);
        assert_eq!(
            all,
            [InOrder, Duplicated, InOrder, OutOfOrder, Duplicated, OutOfOrder, Duplicated, InOrder]
        );
        // 2 and 4 never came.
        assert_eq!((track.lost(7), track.lost_between()), (2, 2));
    }

    #[test]
    fn newcomers_miss_nothing_from_before() {
        let mut track = Track::from_now();
        assert_eq!(track.lost(1000), 0);
        assert_eq!(arrivals(&mut track, &[40, 41, 43]), [InOrder; 3]);
        assert_eq!((track.lost(45), track.lost_between()), (2, 1));
        assert_eq!(track.receive(7), Duplicated, "nothing from before its first");
    }

    #[test]
    fn gaps_are_bounded() {
        let mut track = Track::from_start();
        for number in (0..1000).step_by(2) {
            assert_eq!(track.receive(number), InOrder);
        }
        assert_eq!(track.gaps.len(), GAPS_MAX);
        assert_eq!(track.lost(1000), 500, "and the count stays exact");
    }
}
