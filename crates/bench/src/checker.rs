//! Whether every client got every message once and in order, or was told truthfully where it did not.
//!
//! Publishers number their messages and write into a [`Ledger`] what the broker accepted; clients write into a
//! [`Record`] what they heard. [`check`] compares them. It knows nothing of the server: it relies on ids being
//! contiguous within an epoch, which is what clients are promised.

mod ledger;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;

pub use ledger::Ledger;

/// The id of a message: `<epoch>-<offset>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Which history.
    pub epoch: u64,
    /// The place in it.
    pub offset: u64,
}

impl Id {
    /// Before the first message of a room.
    pub const START: Self = Self { epoch: 0, offset: 0 };

    /// Reads `<epoch>-<offset>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, offset) = text.split_once('-')?;
        Some(Self { epoch: epoch.parse().ok()?, offset: offset.parse().ok()? })
    }

    /// Before the first message the offset only tells when the id was given out.
    fn undated(self) -> Self {
        if self.epoch == 0 { Self::START } else { self }
    }

    fn is_followed_by(self, next: Self) -> bool {
        if self == Self::START {
            return next.offset == 0;
        }
        next.epoch == self.epoch && next.offset == self.offset + 1
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

/// A message's content. Its text form is JSON: `{"p":1,"n":2}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message {
    /// Who sent it.
    pub publisher: u32,
    /// Rises with each message that this publisher sends to the room.
    pub number: u32,
}

impl Message {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix("{\"p\":")?.strip_suffix('}')?;
        let (publisher, number) = inner.split_once(",\"n\":")?;
        Some(Self { publisher: publisher.parse().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"p\":{},\"n\":{}}}", self.publisher, self.number)
    }
}

/// What a client heard about one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It begins, as a newcomer, behind `at`; none where it was not told the place.
    Begins {
        /// The last message before it came.
        at: Option<Id>,
    },
    /// It is connected, and nothing is promised of the time before.
    Anew,
    /// It has come back and was told `resumed`.
    Resumed,
    /// It has come back and was told `missed`: it begins anew behind `at`, if it was told the place.
    Missed {
        /// The last message that it will not get.
        at: Option<Id>,
    },
    /// It was told that messages are missing here.
    Reset,
    /// A message.
    Message {
        /// Its id.
        id: Id,
        /// Its content.
        message: Message,
    },
}

/// All that one client heard, in order.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// For reports.
    pub client: String,
    heard: Vec<(String, Heard)>,
}

impl Record {
    /// An empty record.
    pub fn new(client: impl Into<String>) -> Self {
        Self { client: client.into(), heard: Vec::new() }
    }

    /// The client has heard something about a room.
    pub fn hear(&mut self, room: &str, heard: Heard) {
        self.heard.push((room.to_owned(), heard));
    }

    /// What it heard about one room.
    fn of<'a>(&'a self, room: &'a str) -> impl Iterator<Item = Heard> + 'a {
        self.heard.iter().filter(move |(name, _)| name == room).map(|(_, heard)| *heard)
    }

    fn knows(&self, room: &str) -> bool {
        self.heard.iter().any(|(name, _)| name == room)
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Whose record shows it; empty if the ledger does.
    pub client: String,
    /// Where.
    pub room: String,
    /// What.
    pub kind: FaultKind,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing came between these two, and the client was not told; without `before`, nothing came after.
    Lost {
        /// The last that came.
        after: Id,
        /// The next that came.
        before: Option<Id>,
    },
    /// It came twice.
    Doubled(Id),
    /// It came after a later one.
    OutOfOrder(Id),
    /// Another content than the broker accepted with this id, or one that nobody published.
    Wrong(Id, Message),
    /// The broker gave two messages one id.
    SameId(Id),
    /// One message has a second id, although nothing about its publication was in doubt.
    PublishedTwice(Id, Message),
    /// A publisher waited for the answer to an earlier message, which nevertheless comes later.
    PublisherOrder(Id),
    /// The client was told that something is missing where nothing is.
    Needless(Id),
    /// Before the client was told where it begins.
    NotBegun(Id),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client = if self.client.is_empty() { "the broker" } else { &self.client };
        write!(f, "{client}, room {}: {:?}", self.room, self.kind)
    }
}

/// What was checked, and what was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Messages that clients got.
    pub deliveries: u64,
    /// Times that a client came back and was told that nothing is missing.
    pub resumed: u64,
    /// Times that a client was told that something is missing.
    pub told: u64,
    /// Messages that did not come, of which clients were told.
    pub told_messages: u64,
    /// Everything that must not be.
    pub faults: Vec<Fault>,
}

impl Report {
    /// How many faults are of a kind.
    pub fn count(&self, is: impl Fn(&FaultKind) -> bool) -> usize {
        self.faults.iter().filter(|fault| is(&fault.kind)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lost = self.count(|kind| matches!(kind, FaultKind::Lost { .. }));
        let doubled = self.count(|kind| matches!(kind, FaultKind::Doubled(_)));
        let order = self.count(|kind| matches!(kind, FaultKind::OutOfOrder(_)));
        write!(
            f,
            "{} deliveries: {lost} lost, {doubled} duplicated, {order} out of order, {} other faults; \
             {} resumed, {} told of {} missing messages",
            self.deliveries,
            self.faults.len() - lost - doubled - order,
            self.resumed,
            self.told,
            self.told_messages
        )?;
        for fault in self.faults.iter().take(20) {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

/// Compares what was accepted with what each client heard. To be called when every client should have
/// everything.
pub fn check(ledger: &Ledger, records: &[Record]) -> Report {
    let mut report = Report::default();
    for room in ledger.rooms() {
        let truth = ledger.truth(room, records, &mut report.faults);
        for record in records.iter().filter(|record| record.knows(room)) {
            walk::walk(room, &truth, record, &mut report);
        }
    }
    report
}
