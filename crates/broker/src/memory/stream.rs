//! The history of one room in memory, as a pure value.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use roomcast_protocol::{Position, Publication};

use crate::{HistoryPage, KEY_REMEMBERED, PAGE_BYTES_MAX, PAGE_MESSAGES_MAX, Retention};

/// Most idempotency keys that are remembered for one room; beyond it the oldest are forgotten early.
const KEYS_MAX: usize = 10_000;

/// How long it is remembered that a room had messages, after they have expired.
const EPOCH_REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// What is kept of one room.
#[derive(Debug)]
pub(super) struct Stream {
    epoch: u64,
    next_offset: u64,
    messages: VecDeque<Publication>,
    expires: Option<Instant>,
    /// No epoch came before this one.
    first_epoch: bool,
    keys: Keys,
}

/// What publications with a key were answered.
#[derive(Debug, Default)]
struct Keys {
    answers: HashMap<String, Option<Position>>,
    by_age: VecDeque<(Instant, String)>,
}

impl Stream {
    /// A room without history yet; `now_ms` since 1970 becomes its epoch.
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            epoch: now_ms,
            next_offset: 0,
            messages: VecDeque::new(),
            expires: None,
            first_epoch: true,
            keys: Keys::default(),
        }
    }

    /// What a publication with this key was answered before.
    pub(super) fn answered(&mut self, key: &str, now: Instant) -> Option<Option<Position>> {
        self.keys.forget(now);
        self.keys.answers.get(key).copied()
    }

    /// Remembers an answer.
    pub(super) fn remember(&mut self, key: String, answer: Option<Position>, now: Instant) {
        self.keys.by_age.push_back((now, key.clone()));
        self.keys.answers.insert(key, answer);
    }

    /// Appends a message, and gives its position.
    pub(super) fn append(
        &mut self,
        publication: &mut Publication,
        retention: Retention,
        now: Instant,
        now_ms: u64,
    ) -> Position {
        if self.expires.is_some_and(|expires| expires <= now) {
            self.begin_anew(now_ms);
        }
        let position = Position { epoch: self.epoch, offset: self.next_offset };
        self.next_offset += 1;
        publication.position = Some(position);
        self.messages.push_back(publication.clone());
        while self.messages.len() > retention.messages {
            self.messages.pop_front();
        }
        self.expires = now.checked_add(retention.ttl);
        position
    }

    /// Begins anew with the next message, unless `seen` is there or of another epoch.
    pub(super) fn renew(&mut self, seen: Position, now: Instant) {
        if seen.epoch == self.epoch && seen.offset >= self.next_offset {
            self.expires = Some(now);
        }
    }

    fn begin_anew(&mut self, now_ms: u64) {
        self.epoch = now_ms.max(self.epoch + 1);
        self.next_offset = 0;
        self.first_epoch = false;
        self.messages.clear();
    }

    /// Whether nothing in it counts any more.
    pub(super) fn is_over(&mut self, now: Instant) -> bool {
        self.keys.forget(now);
        if self.expires.is_some_and(|expires| expires <= now) {
            self.messages = VecDeque::new();
        }
        let remembered = |expires: Instant| now.saturating_duration_since(expires) < EPOCH_REMEMBERED;
        self.keys.answers.is_empty() && !self.expires.is_some_and(remembered)
    }

    /// A part of the history.
    pub(super) fn page(&self, after: Option<Position>, limit: usize, now: Instant) -> HistoryPage {
        let is_over = self.expires.is_some_and(|expires| expires <= now);
        if self.next_offset == 0 || is_over {
            return HistoryPage { gone: is_over, ..HistoryPage::default() };
        }
        let limit = limit.min(PAGE_MESSAGES_MAX);
        let mut bytes = 0;
        let mut fits = |message: &&Publication| {
            let first = bytes == 0;
            bytes += message.payload.bytes.len() + 1;
            first || bytes <= PAGE_BYTES_MAX
        };
        let messages: Vec<_> = match after {
            Some(after) => {
                let behind = self.messages.iter().skip_while(|message| message.position <= Some(after));
                behind.take(limit).take_while(&mut fits).cloned().collect()
            }
            None => {
                let newest = self.messages.iter().rev().take(limit).take_while(&mut fits);
                let mut newest: Vec<_> = newest.cloned().collect();
                newest.reverse();
                newest
            }
        };
        let top = Some(Position { epoch: self.epoch, offset: self.next_offset - 1 });
        HistoryPage { top, gone: false, first_epoch: self.first_epoch, messages }
    }
}

impl Keys {
    fn forget(&mut self, now: Instant) {
        while let Some((since, _)) = self.by_age.front() {
            if self.by_age.len() <= KEYS_MAX && now.saturating_duration_since(*since) < KEY_REMEMBERED {
                return;
            }
            if let Some((_, key)) = self.by_age.pop_front() {
                self.answers.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roomcast_protocol::{Payload, Room};

    const RETENTION: Retention = Retention { messages: 3, ttl: Duration::from_secs(10) };

    fn append(stream: &mut Stream, now: Instant) -> Position {
        let mut publication = Publication::plain(Room::parse("a").unwrap(), Payload::untyped("x"));
        stream.append(&mut publication, RETENTION, now, 100)
    }

    fn offsets(page: &HistoryPage) -> Vec<u64> {
        page.messages.iter().map(|message| message.position.unwrap().offset).collect()
    }

    #[test]
    fn pages() {
        let now = Instant::now();
        let mut stream = Stream::new(50);
        assert_eq!(stream.page(None, 10, now), HistoryPage::default());
        for offset in 0..5 {
            assert_eq!(append(&mut stream, now), Position { epoch: 50, offset });
        }
        let at = |offset| Some(Position { epoch: 50, offset });
        assert_eq!(stream.page(None, 10, now).top, at(4));
        assert_eq!(offsets(&stream.page(None, 10, now)), [2, 3, 4]);
        assert_eq!(offsets(&stream.page(None, 2, now)), [3, 4]);
        assert_eq!(offsets(&stream.page(at(2), 1, now)), [3]);
        assert_eq!(offsets(&stream.page(at(0), 10, now)), [2, 3, 4]);
        assert!(offsets(&stream.page(at(4), 10, now)).is_empty());
        assert_eq!(offsets(&stream.page(Some(Position::BEFORE_EVERYTHING), 10, now)), [2, 3, 4]);
    }

    #[test]
    fn what_has_expired_begins_a_new_epoch() {
        let now = Instant::now();
        let mut stream = Stream::new(50);
        append(&mut stream, now);
        let later = now + RETENTION.ttl;
        assert!(stream.page(None, 10, later).gone);
        assert_eq!(append(&mut stream, later), Position { epoch: 100, offset: 0 });
        assert!(!stream.page(None, 10, later).first_epoch);
        assert!(!stream.is_over(later + RETENTION.ttl));
        assert!(stream.is_over(later + RETENTION.ttl + EPOCH_REMEMBERED));
    }

    #[test]
    fn keys_are_remembered_for_a_while() {
        let now = Instant::now();
        let mut stream = Stream::new(50);
        let position = append(&mut stream, now);
        stream.remember("k".into(), Some(position), now);
        assert_eq!(stream.answered("k", now), Some(Some(position)));
        assert_eq!(stream.answered("other", now), None);
        assert_eq!(stream.answered("k", now + KEY_REMEMBERED), None);
        for i in 0..KEYS_MAX + 10 {
            stream.remember(i.to_string(), None, now);
        }
        assert_eq!(stream.answered("5", now), None);
        assert_eq!(stream.answered("10009", now), Some(None));
    }
}
