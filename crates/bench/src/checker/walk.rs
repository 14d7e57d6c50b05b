//! One client's way through one room.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Unbounded};

use super::ledger::Truth;
use super::{Fault, FaultKind, Heard, Id, Record, Report};

/// Between two words that something is missing, everything must be there.
struct Walk<'a> {
    room: &'a str,
    client: &'a str,
    truth: &'a Truth,
    report: &'a mut Report,
    /// Everything that came so far.
    seen: BTreeSet<Id>,
    /// What came in this stretch.
    stretch: BTreeSet<Id>,
    begin: Begin,
}

/// How a stretch begins.
#[derive(Clone, Copy)]
enum Begin {
    /// Nothing was said yet.
    Nowhere,
    /// As a newcomer.
    New(Option<Id>),
    /// Anywhere: what was before is not asked for.
    Anew,
    /// The client had everything up to `end`, and was told that something is missing then.
    Told { end: Option<Id>, at: Option<Id> },
}

pub(super) fn walk(room: &str, truth: &Truth, record: &Record, report: &mut Report) {
    let (seen, stretch) = (BTreeSet::new(), BTreeSet::new());
    let mut walk = Walk { room, client: &record.client, truth, report, seen, stretch, begin: Begin::Nowhere };
    for heard in record.of(room) {
        walk.hear(heard);
    }
    let has_begun_anew = matches!(walk.begin, Begin::Anew) && walk.stretch.is_empty();
    walk.end_stretch();
    if !has_begun_anew {
        walk.end();
    }
}

impl Walk<'_> {
    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Begins { at } => self.begin = Begin::New(at.map(Id::undated)),
            Heard::Anew => {
                self.end_stretch();
                self.begin = Begin::Anew;
            }
            Heard::Resumed => self.report.resumed += 1,
            Heard::Missed { at } => self.told(at.map(Id::undated)),
            Heard::Reset => self.told(None),
            Heard::Message { id, message } => {
                self.report.deliveries += 1;
                if self.truth.get(&id) != Some(&message) {
                    self.fault(FaultKind::Wrong(id, message));
                }
                self.message(id);
            }
        }
    }

    fn message(&mut self, id: Id) {
        if matches!(self.begin, Begin::Nowhere) {
            self.fault(FaultKind::NotBegun(id));
        }
        let is_late = self.seen.last().is_some_and(|last| *last > id);
        if !self.seen.insert(id) {
            return self.fault(FaultKind::Doubled(id));
        }
        if is_late {
            self.fault(FaultKind::OutOfOrder(id));
        }
        self.stretch.insert(id);
    }

    fn told(&mut self, at: Option<Id>) {
        self.report.told += 1;
        if let (Begin::Told { end, .. }, true) = (self.begin, self.stretch.is_empty()) {
            // Told twice about the same gap.
            self.begin = Begin::Told { end, at };
            return;
        }
        let end = self.stretch.last().copied().or(self.known_begin());
        self.end_stretch();
        self.begin = Begin::Told { end, at };
    }

    /// The client has everything of the stretch from here on.
    fn known_begin(&self) -> Option<Id> {
        match self.begin {
            Begin::Nowhere | Begin::Anew => None,
            Begin::New(at) | Begin::Told { at, .. } => at,
        }
    }

    /// Within a stretch each id follows the one before.
    fn end_stretch(&mut self) {
        let stretch = std::mem::take(&mut self.stretch);
        let mut before = self.known_begin();
        let Some(first) = stretch.first().copied() else { return };
        if let (Begin::New(Some(Id::START)), Some((oldest, _))) = (self.begin, self.truth.first_key_value())
            && *oldest < first
        {
            // Of an epoch that the client never saw.
            self.fault(FaultKind::Lost { after: Id::START, before: Some(first) });
            before = None;
        }
        for id in stretch {
            if let Some(before) = before.filter(|before| *before < id && !before.is_followed_by(id)) {
                self.fault(FaultKind::Lost { after: before, before: Some(id) });
            }
            before = Some(id);
        }
        self.judge(first);
    }

    /// Whether it was right to say that something is missing before `first`.
    fn judge(&mut self, first: Id) {
        let Begin::Told { end: Some(end), at } = self.begin else { return };
        let missing = self.truth.range((Excluded(end), Excluded(first.max(end)))).count() as u64;
        self.report.told_messages += missing;
        // Where the history begins anew, nobody can tell what the old one had.
        let same_history = end.epoch == first.epoch;
        if same_history && at.map_or_else(|| end.is_followed_by(first), |at| at <= end) {
            self.fault(FaultKind::Needless(first));
        }
    }

    /// Nothing may be outstanding.
    fn end(&mut self) {
        let Some((newest, _)) = self.truth.last_key_value() else { return };
        let have = self.seen.last().copied().max(self.known_begin()).unwrap_or(Id::START);
        if self.truth.range((Excluded(have), Unbounded)).next().is_some() {
            debug_assert!(have < *newest, "the newest is outstanding");
            self.fault(FaultKind::Lost { after: have, before: None });
        }
    }

    fn fault(&mut self, kind: FaultKind) {
        let (client, room) = (self.client.to_owned(), self.room.to_owned());
        self.report.faults.push(Fault { client, room, kind });
    }
}
