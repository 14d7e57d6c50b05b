//! Rooms that keep history: how much they keep, and what comes out of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use roomcast_protocol::{Position, Publication, Room};

/// How long a publication's idempotency key is remembered. Longer than any client retries.
pub const KEY_REMEMBERED: Duration = Duration::from_secs(300);

/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 200;

/// Most messages in one answer about history. The caller asks again from the last one.
pub const PAGE_MESSAGES_MAX: usize = 500;

/// Most bytes of payload in one such answer, but for a single larger message.
pub const PAGE_BYTES_MAX: usize = 512 * 1024;

/// How much of a room is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest so many messages.
    pub messages: usize,
    /// For so long after the last one.
    pub ttl: Duration,
}

/// What the rooms of a cluster keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionTable {
    /// Rooms without a namespace, and of namespaces that are not listed.
    pub default: Option<Retention>,
    /// Namespaces that are listed.
    pub namespaces: BTreeMap<String, Option<Retention>>,
}

/// The table as it is now. Replaced as a whole when the configuration is loaded anew.
pub type SharedRetention = Arc<ArcSwap<RetentionTable>>;

impl RetentionTable {
    /// What is kept of `room`, if anything.
    pub fn of(&self, room: &Room) -> Option<Retention> {
        let listed = room.namespace().and_then(|name| self.namespaces.get(name));
        listed.copied().unwrap_or(self.default)
    }
}

/// A part of a room's history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryPage {
    /// The room's last position when the page was read; none if it has no history now.
    pub top: Option<Position>,
    /// There is none now, and there were messages before: they have expired or were deleted.
    pub gone: bool,
    /// The epoch of `top` is the first one of the room, as far as the broker remembers, which is a day at least.
    pub first_epoch: bool,
    /// Messages of the epoch of `top`, each with its position, in order.
    pub messages: Vec<Publication>,
}

impl HistoryPage {
    /// Whether, together with what a reader has up to `after`, nothing is missing up to the last
    /// message of this page, or up to `top` if it has none.
    pub fn continues(&self, after: Position) -> bool {
        let Some(top) = self.top else { return after.is_before_everything() && !self.gone };
        if after.is_before_everything() && !self.first_epoch {
            return false;
        }
        match self.messages.first().and_then(|message| message.position) {
            Some(first) => after.is_followed_by(first),
            None => after == top,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roomcast_protocol::Payload;

    fn page(top: Option<(u64, u64)>, messages: &[(u64, u64)]) -> HistoryPage {
        let at = |(epoch, offset)| Position { epoch, offset };
        let room = Room::parse("a").unwrap();
        let message = |p: &(u64, u64)| Publication {
            position: Some(at(*p)),
            ..Publication::plain(room.clone(), Payload::untyped("x"))
        };
        HistoryPage {
            top: top.map(at),
            gone: false,
            first_epoch: true,
            messages: messages.iter().map(message).collect(),
        }
    }

    #[test]
    fn a_page_continues_or_there_is_a_gap() {
        let cases = [
            ((5, 7), page(Some((5, 9)), &[(5, 8), (5, 9)]), true),
            ((5, 7), page(Some((5, 7)), &[]), true),
            ((5, 7), page(Some((5, 9)), &[(5, 9)]), false),
            ((5, 7), page(Some((5, 6)), &[]), false),
            ((5, 7), page(Some((6, 0)), &[(6, 0)]), false),
            ((5, 7), page(None, &[]), false),
            ((0, 0), page(None, &[]), true),
            ((0, 0), HistoryPage { gone: true, ..page(None, &[]) }, false),
            ((0, 0), page(Some((5, 1)), &[(5, 0), (5, 1)]), true),
            ((0, 0), page(Some((5, 1)), &[(5, 1)]), false),
            ((0, 0), HistoryPage { first_epoch: false, ..page(Some((5, 0)), &[(5, 0)]) }, false),
        ];
        for ((epoch, offset), page, expected) in cases {
            assert_eq!(page.continues(Position { epoch, offset }), expected, "{epoch}-{offset} {page:?}");
        }
    }
}
