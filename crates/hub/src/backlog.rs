//! What waits in one outbox, in the order in which it is written, and what of it may be dropped. A pure value.
//!
//! Nothing here takes longer the more waits. Dropping leaves a vacant slot behind, or one that counts what was
//! dropped; vacant slots are cleared away when they are a quarter of all. Looking for the oldest message that
//! may be dropped goes on where it stopped the last time, because what could not be dropped then never can.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

use bytes::Bytes;

use crate::outbox::{Entry, Overflow};
use crate::overflow::Lane;
use crate::slot::{Shared, Slot, Written, cost};
use crate::stats::ShardStats;

/// A queue that has grown beyond this many slots gives its memory back when it is empty: the least that is ever
/// allocated, so that idle connections do not keep what one burst has taken.
const SLOTS_KEPT: usize = 4;

/// So many slots may be vacant, and a share of all.
const VACANT_MAX: usize = 16;

/// One slot for each this many may be vacant besides.
const VACANT_SHARE: usize = 4;

/// The slots of one outbox. The first one is never vacant.
#[derive(Debug)]
pub(crate) struct Backlog {
    slots: VecDeque<Slot>,
    /// The number of the first slot. Slots are numbered in their order; clearing away lowers later numbers.
    first: u64,
    /// Cost of all slots, in bytes.
    cost: usize,
    bytes_max: usize,
    /// How much of the first slot is written already.
    written: usize,
    /// Slots that hold nothing.
    vacant: usize,
    /// Nothing before this number may be dropped to make place.
    searched: u64,
    /// Messages that wait of rooms where only the latest counts.
    latest: usize,
    /// Of these one has waited although the writer has had its turn.
    behind: bool,
    /// The shard's turn in which such a message came last.
    turn: u32,
    /// Whether the client can be told what was dropped.
    tells: bool,
    /// Slots looked at in order to drop something.
    #[cfg(test)]
    pub(crate) steps: u64,
}

impl Backlog {
    pub(crate) fn new(bytes_max: usize, tells: bool) -> Self {
        Self {
            slots: VecDeque::new(),
            first: 0,
            cost: 0,
            bytes_max,
            written: 0,
            vacant: 0,
            searched: 0,
            latest: 0,
            behind: false,
            turn: 0,
            tells,
            #[cfg(test)]
            steps: 0,
        }
    }

    pub(crate) fn cost(&self) -> usize {
        self.cost
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Slots, vacant ones among them.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Adds what may not be dropped. What may be makes place for it.
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry, stats: &ShardStats) -> Result<(), Overflow> {
        // Slots are made where they stay: made elsewhere and moved, they would take twice the time.
        match entry {
            Entry::Message(bytes) => {
                self.reserve(cost(&bytes), stats)?;
                self.slots.push_back(Slot::Shared(Shared::Message(bytes)));
            }
            Entry::Reply(bytes) => {
                self.reserve(cost(&bytes), stats)?;
                self.slots.push_back(Slot::Reply(bytes));
            }
        }
        Ok(())
    }

    fn reserve(&mut self, cost: usize, stats: &ShardStats) -> Result<(), Overflow> {
        if !self.fits(cost) && !self.make_place(cost, stats) {
            return Err(Overflow);
        }
        self.cost += cost;
        Ok(())
    }

    /// Adds a message that may be dropped, now or later, with the `id:` field in front of it.
    pub(crate) fn push_droppable(
        &mut self,
        lane: &Rc<Lane>,
        field: Option<Bytes>,
        message: Rc<Bytes>,
        turn: u32,
        stats: &ShardStats,
    ) -> Result<(), Overflow> {
        if lane.is_latest() {
            self.begin_turn(turn, stats);
            if self.behind || lane.newest.get().is_some_and(|number| number < self.searched) {
                self.supersede(lane, stats);
            }
        }
        let bytes = cost(&message) + field.as_ref().map_or(0, cost);
        if !self.fits(bytes) {
            // It will not be the newest any more.
            lane.newest.set(None);
            if !self.make_place(bytes, stats) {
                if lane.is_latest() {
                    return Err(Overflow);
                }
                self.count_dropped(lane, 1, stats);
                return Ok(());
            }
        }
        if let Some(field) = field {
            self.append(Slot::Shared(Shared::Field(Rc::new(field))));
        }
        if lane.is_latest() {
            lane.newest.set(Some(self.end()));
            self.latest += 1;
        }
        self.append(Slot::Shared(Shared::Droppable(message, Rc::clone(lane))));
        Ok(())
    }

    /// Messages of the room were dropped before they came here.
    pub(crate) fn count_dropped(&mut self, lane: &Rc<Lane>, count: u64, stats: &ShardStats) {
        stats.dropped[lane.policy as usize].add(count);
        if self.tells && !self.widen_gap(lane, count) {
            lane.gap.set(Some(self.end()));
            self.append(Slot::Shared(Shared::Gap(Rc::clone(lane), count)));
        }
    }

    /// Puts what is to be written next into `slices`, in order, up to where something else has to be told first; gives
    /// how many. A gap in front is taken for told.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut slots = self.slots.iter();
        if self.gap().is_some() {
            slots.next();
        }
        let mut chunks = slots.map_while(|slot| match slot.bytes() {
            Some(bytes) => Some(&bytes[..]),
            None if slot.is_gap() => None,
            None => Some(&[]),
        });
        let mut skip = self.written;
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&mut chunks) {
            *slice = IoSlice::new(&chunk[skip..]);
            skip = 0;
            count += 1;
        }
        count
    }

    /// All that waits, if it is one thing of which nothing is written yet.
    pub(crate) fn only(&self) -> Option<Entry> {
        self.slots.front().filter(|_| self.slots.len() == 1 && self.written == 0)?.entry()
    }

    /// The gap that has to be told before anything else.
    pub(crate) fn gap(&self) -> Option<(&Lane, u64)> {
        match self.slots.front() {
            Some(Slot::Shared(Shared::Gap(lane, count))) => Some((lane, *count)),
            _ => None,
        }
    }

    /// What says so is about to be written, and cannot be changed any more.
    pub(crate) fn tell_gap(&mut self, notice: Bytes) {
        let Some(slot) = self.slots.front_mut() else { return };
        if let Slot::Shared(Shared::Gap(lane, _)) = slot {
            lane.gap.set(None);
            self.cost += cost(&notice);
            *slot = Slot::Reply(notice);
        }
    }

    /// The first entry, whole.
    pub(crate) fn front(&self) -> Option<&Bytes> {
        self.slots.front()?.bytes()
    }

    /// So many more bytes were written. Takes out what is now written whole, and vacant slots behind it.
    pub(crate) fn advance(&mut self, bytes: usize) -> Written {
        let mut whole = Written::default();
        let mut gone = 0;
        self.written += bytes;
        for slot in &self.slots {
            match slot.bytes() {
                Some(bytes) if self.written >= bytes.len() => {
                    self.written -= bytes.len();
                    self.cost -= cost(bytes);
                    whole.entries += 1;
                    whole.messages += u64::from(slot.is_message());
                    self.latest -= usize::from(self.latest > 0 && slot.is_latest());
                }
                None if slot.is_vacant() => self.vacant -= 1,
                _ => break,
            }
            gone += 1;
        }
        self.behind &= self.latest > 0;
        self.first += gone as u64;
        (0..gone).for_each(|_| drop(self.slots.pop_front()));
        if self.slots.is_empty() && self.slots.capacity() > SLOTS_KEPT {
            self.slots = VecDeque::new();
        }
        whole
    }

    /// Drops everything but the rest of an entry that is partly written.
    pub(crate) fn clear(&mut self) {
        let keep = usize::from(self.written > 0);
        let dropped: usize = self.slots.drain(keep..).map(|slot| slot.cost()).sum();
        self.cost -= dropped;
        self.vacant = 0;
    }

    /// Whether so much fits. One entry always fits where nothing waits.
    fn fits(&self, cost: usize) -> bool {
        self.cost == 0 || self.cost + cost <= self.bytes_max
    }

    /// The number that the next slot gets.
    fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    fn append(&mut self, slot: Slot) {
        self.cost += slot.cost();
        self.slots.push_back(slot);
    }

    /// Drops the oldest messages that may be dropped until so much fits; `false` if it does not.
    #[cold]
    fn make_place(&mut self, cost: usize, stats: &ShardStats) -> bool {
        self.searched = self.searched.max(self.first + u64::from(self.written > 0));
        while !self.fits(cost) && self.searched < self.end() {
            let index = (self.searched - self.first) as usize;
            self.searched += 1;
            self.count_steps(1);
            if self.is_superseded(index) {
                self.drop_at(index, stats);
            }
        }
        self.clear_away();
        self.fits(cost)
    }

    /// Whether this is a message that may be dropped, and not one that has to stay until there is a newer one.
    fn is_superseded(&self, index: usize) -> bool {
        let number = self.first + index as u64;
        let lane = self.slots.get(index).and_then(Slot::lane);
        lane.is_some_and(|lane| lane.newest.get() != Some(number))
    }

    /// Finds out, once in each turn of the shard, whether the client is behind: between two turns the writers have
    /// theirs, so that what waits still is what the client does not take.
    fn begin_turn(&mut self, turn: u32, stats: &ShardStats) {
        if std::mem::replace(&mut self.turn, turn) == turn || self.behind || self.latest == 0 {
            return;
        }
        self.behind = true;
        // Slots are looked at once: it is not behind again before all of these are written.
        let mut left = self.latest;
        let mut index = usize::from(self.written > 0);
        while left > 0 && index < self.slots.len() {
            self.count_steps(1);
            if self.slots[index].is_latest() {
                left -= 1;
                if self.is_superseded(index) {
                    self.drop_at(index, stats);
                }
            }
            index += 1;
        }
        self.clear_away();
    }

    /// Drops what was the newest message of a room until now, if it still waits.
    fn supersede(&mut self, lane: &Lane, stats: &ShardStats) {
        let Some(number) = lane.newest.take() else { return };
        if number < self.first + u64::from(self.written > 0) {
            return;
        }
        self.count_steps(1);
        self.drop_at((number - self.first) as usize, stats);
        self.clear_away();
    }

    /// Drops a droppable message, and the field in front of it where none of that is written.
    fn drop_at(&mut self, index: usize, stats: &ShardStats) {
        let slot = std::mem::replace(&mut self.slots[index], Slot::VACANT);
        self.vacant += 1;
        self.cost -= slot.cost();
        if index > usize::from(self.written > 0) && self.slots[index - 1].is_field() {
            let field = std::mem::replace(&mut self.slots[index - 1], Slot::VACANT);
            self.vacant += 1;
            self.cost -= field.cost();
        }
        let Slot::Shared(Shared::Droppable(_, lane)) = slot else { return };
        self.latest -= usize::from(lane.is_latest());
        stats.dropped[lane.policy as usize].add(1);
        if self.tells && !self.widen_gap(&lane, 1) {
            lane.gap.set(Some(self.first + index as u64));
            self.vacant -= 1;
            self.slots[index] = Slot::Shared(Shared::Gap(lane, 1));
        }
    }

    /// Counts in the gap that the room has already; `false` if it has none.
    fn widen_gap(&mut self, lane: &Lane, count: u64) -> bool {
        let place = lane.gap.get().and_then(|number| number.checked_sub(self.first));
        match place.and_then(|index| self.slots.get_mut(index as usize)) {
            Some(Slot::Shared(Shared::Gap(_, counted))) => {
                *counted += count;
                true
            }
            _ => false,
        }
    }

    fn clear_away(&mut self) {
        self.clear_front();
        if self.vacant > VACANT_MAX + self.slots.len() / VACANT_SHARE {
            self.compact();
        }
    }

    fn clear_front(&mut self) {
        while self.slots.front().is_some_and(Slot::is_vacant) {
            self.slots.pop_front();
            self.first += 1;
            self.vacant -= 1;
        }
    }

    /// Takes the vacant slots out, and gives those behind them their new numbers.
    fn compact(&mut self) {
        self.count_steps(self.slots.len() as u64);
        let (mut old, mut new, mut searched) = (self.first, self.first, self.first);
        self.slots.retain(|slot| {
            match slot {
                Slot::Shared(Shared::Vacant) => {}
                Slot::Shared(Shared::Droppable(_, lane)) if lane.newest.get() == Some(old) => {
                    lane.newest.set(Some(new));
                }
                Slot::Shared(Shared::Gap(lane, _)) => lane.gap.set(Some(new)),
                _ => {}
            }
            new += u64::from(!slot.is_vacant());
            old += 1;
            if old <= self.searched {
                searched = new;
            }
            !slot.is_vacant()
        });
        self.searched = searched;
        self.vacant = 0;
    }

    #[cfg(test)]
    fn count_steps(&mut self, steps: u64) {
        self.steps += steps;
    }

    #[cfg(not(test))]
    fn count_steps(&mut self, _: u64) {}
}

#[cfg(test)]
#[path = "backlog_tests.rs"]
mod tests;
