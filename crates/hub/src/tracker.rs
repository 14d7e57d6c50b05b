//! Whether the messages of a room that keeps history come without a gap, as a pure value.
//!
//! One for each such room of the node. It lets through what follows, drops what was there before, and
//! where something is missing says what has to be read before anything else goes on. It also keeps
//! the newest messages, from which clients that come back are served.

use std::collections::VecDeque;
use std::sync::Arc;

use roomcast_broker::HistoryPage;
use roomcast_protocol::{Position, Push};

/// Most recent messages that are kept for clients that come back: a reconnect after a deploy asks for
/// a few seconds' worth.
pub(crate) const RECENT_MESSAGES_MAX: usize = 256;
/// Most bytes of them, in one room.
const RECENT_BYTES_MAX: usize = 256 * 1024;

/// Most messages that wait for a read of history; what comes beyond is read as well.
const WAITING_MESSAGES_MAX: usize = 1024;

/// Reads in a row that may bring nothing while messages wait for something before them. A read may be older than
/// what waits, but not several of them.
const FRUITLESS_READS_MAX: u8 = 3;

#[derive(Debug, Default)]
pub(crate) struct Tracker {
    /// The last message that was let through; none before the first read.
    last: Option<Position>,
    /// There is no history, but there was; members have been told.
    gone: bool,
    /// Reads in a row that did not bring what was missing.
    fruitless: u8,
    recent: VecDeque<Arc<Push>>,
    recent_bytes: usize,
    reading: Option<Reading>,
}

/// A read of history is under way.
#[derive(Debug, Default)]
struct Reading {
    waiting: VecDeque<Arc<Push>>,
    /// Some did not fit.
    again: bool,
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is next.
    Deliver,
    /// It was there before, or it waits.
    Nothing,
    /// It waits; first the history has to be read after this position.
    Read { after: Position },
}

/// What came out of a read.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The gap could not be covered; to be told before anything is delivered.
    pub(crate) reset: bool,
    /// Messages that are next, in order.
    pub(crate) deliver: Vec<Arc<Push>>,
    /// Read on after this position.
    pub(crate) read: Option<Position>,
    /// The room's history has lost messages that were delivered already, up to this one.
    pub(crate) lost: Option<Position>,
}

impl Tracker {
    /// The broker has confirmed the room, for the first time or again: what has to be read. Without a
    /// position, the newest messages.
    pub(crate) fn subscribed(&mut self) -> Option<Position> {
        self.reading.get_or_insert_default();
        self.last
    }

    /// The last message that was let through.
    pub(crate) fn last(&self) -> Option<Position> {
        self.last.filter(|last| !last.is_before_everything())
    }

    /// Where a new reader begins.
    pub(crate) fn start(&self) -> Position {
        self.last.unwrap_or(Position::BEFORE_EVERYTHING)
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// A message has come from the broker.
    pub(crate) fn receive(&mut self, push: &Arc<Push>) -> Step {
        if let Some(reading) = &mut self.reading {
            reading.keep(push);
            return Step::Nothing;
        }
        // A plain PUBLISH has no position and is let through as it is.
        let Some(position) = push.publication().position else { return Step::Deliver };
        let last = self.start();
        if last.is_followed_by(position) {
            self.let_through(push);
            return Step::Deliver;
        }
        // Epochs grow: what is of an earlier one is late, too.
        if position <= last {
            return Step::Nothing;
        }
        let mut reading = Reading::default();
        reading.keep(push);
        self.reading = Some(reading);
        Step::Read { after: last }
    }

    /// A read has come back.
    pub(crate) fn read(&mut self, page: HistoryPage) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(last) = self.last else { return self.first_read(page) };
        let still_gone = self.gone && page.gone && last.is_before_everything();
        if !page.continues(last) && !still_gone {
            outcome.reset = true;
            outcome.lost =
                page.top.filter(|top| top.epoch == last.epoch && top.offset < last.offset).map(|_| last);
            self.begin_anew();
        }
        self.gone = page.gone;
        self.fruitless = if page.messages.is_empty() { self.fruitless + 1 } else { 0 };
        let read_up_to = page.messages.last().and_then(|message| message.position);
        for message in page.messages {
            let push = Arc::new(Push::new(message));
            self.let_through(&push);
            outcome.deliver.push(push);
        }
        if outcome.reset && read_up_to.is_none() {
            self.last = page.top.or(Some(Position::BEFORE_EVERYTHING));
        }
        if read_up_to.is_some() && read_up_to != page.top {
            outcome.read = Some(self.start());
            return outcome;
        }
        self.finish(&mut outcome);
        outcome
    }

    /// Nobody has been given anything yet: the page is where the room stands.
    fn first_read(&mut self, page: HistoryPage) -> Outcome {
        self.gone = page.gone;
        for message in page.messages {
            self.let_through(&Arc::new(Push::new(message)));
        }
        self.last = page.top.or(Some(Position::BEFORE_EVERYTHING));
        let mut outcome = Outcome::default();
        self.finish(&mut outcome);
        outcome
    }

    /// Takes up what has waited.
    fn finish(&mut self, outcome: &mut Outcome) {
        let Some(Reading { waiting, again }) = self.reading.take() else { return };
        for push in waiting {
            match self.receive(&push) {
                Step::Deliver => outcome.deliver.push(push),
                Step::Nothing => {}
                Step::Read { after } if self.fruitless < FRUITLESS_READS_MAX => outcome.read = Some(after),
                // History does not have what came before it, and never will.
                Step::Read { .. } => {
                    self.reading = None;
                    self.begin_anew();
                    self.let_through(&push);
                    outcome.reset = true;
                    outcome.deliver.push(push);
                }
            }
        }
        if outcome.read.is_none() {
            self.fruitless = 0;
        }
        if again {
            self.reading.get_or_insert_default().again = outcome.read.is_some();
            outcome.read = outcome.read.or(Some(self.start()));
        }
    }

    fn let_through(&mut self, push: &Arc<Push>) {
        self.last = push.publication().position.or(self.last);
        self.recent_bytes += size(push);
        self.recent.push_back(Arc::clone(push));
        while self.recent.len() > RECENT_MESSAGES_MAX || self.recent_bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.recent.pop_front() else { return };
            self.recent_bytes -= size(&oldest);
        }
    }

    fn begin_anew(&mut self) {
        self.recent.clear();
        self.recent_bytes = 0;
    }

    /// All messages after `after`, if they are at hand.
    pub(crate) fn since(&self, after: Position) -> Option<Vec<Arc<Push>>> {
        let last = self.last?;
        // Whether that was before the first epoch of all, only the broker knows.
        if after.is_before_everything() {
            return None;
        }
        if after == last {
            return Some(Vec::new());
        }
        let position = |push: &Arc<Push>| push.publication().position;
        let first =
            self.recent.iter().position(|push| position(push).is_some_and(|p| after.is_followed_by(p)))?;
        Some(self.recent.iter().skip(first).cloned().collect())
    }
}

impl Reading {
    fn keep(&mut self, push: &Arc<Push>) {
        if self.waiting.len() < WAITING_MESSAGES_MAX {
            self.waiting.push_back(Arc::clone(push));
        } else {
            self.again = true;
        }
    }
}

fn size(push: &Push) -> usize {
    push.publication().payload.bytes.len() + 128
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
