//! How fast one connection may send.

use std::time::{Duration, Instant};

use crate::token_bucket::{Rate, TokenBucket};

/// After a rest a connection may send at once what it may send in so many seconds.
const BURST_S: u64 = 2;

/// Frames that a connection may send for each message that it may: fragments, pings. A message of 64 KiB comes in
/// so many frames of a kilobyte.
const FRAMES_PER_MESSAGE: u64 = 64;

/// Messages that are refused, again and again, before the connection is closed. A client that has not noticed by then
/// does not listen.
const REFUSED_MAX: u32 = 100;

/// And for how long: what a client sent before it could read the first answer is not held against it.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// After so long without a refusal a client counts as one that has listened. Longer than it is held back at most.
const CALM: Duration = Duration::from_secs(2);

/// How fast one connection may send. 0: as fast as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// Messages or commands a second.
    pub messages: u64,
    /// Bytes a second.
    pub bytes: u64,
}

/// What one connection has left of its rates.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    frames: Option<TokenBucket>,
    /// Of those who have said something: most connections of most services only listen.
    spoken: Option<Box<Spoken>>,
}

/// What is left to one that sends messages.
#[derive(Debug, Default)]
struct Spoken {
    messages: Option<TokenBucket>,
    bytes: Option<TokenBucket>,
    /// By namespace; only of those that have a rate of their own, which are as many as the configuration lists.
    namespaces: Vec<(Box<str>, TokenBucket)>,
    refused: Option<Refused>,
}

/// Messages that were refused without a calm in between.
#[derive(Debug, Clone, Copy)]
struct Refused {
    count: u32,
    first: Instant,
    last: Instant,
}

/// A message that came too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFast {
    /// When the next one may come.
    pub(crate) wait: Duration,
    /// The client goes on regardless.
    pub(crate) deaf: bool,
}

impl RateLimit {
    /// A message of so many bytes has come.
    pub(crate) fn message(&mut self, rates: Rates, bytes: usize, now: Instant) -> Result<(), TooFast> {
        let spoken = self.spoken.get_or_insert_default();
        let result = take(&mut spoken.messages, rates.messages, 1, now)
            .and_then(|()| take(&mut spoken.bytes, rates.bytes, bytes as u64, now));
        spoken.judge(result, now)
    }

    /// So many frames have come, with or without a message in them. `Err` is how long to wait before more are read.
    pub(crate) fn frames(&mut self, rates: Rates, frames: u32, now: Instant) -> Result<(), Duration> {
        take(&mut self.frames, rates.messages * FRAMES_PER_MESSAGE, u64::from(frames), now)
    }

    /// It is to be published in this namespace, which has a rate of its own.
    pub(crate) fn publish(&mut self, namespace: &str, rate: u64, now: Instant) -> Result<(), TooFast> {
        let spoken = self.spoken.get_or_insert_default();
        let known = spoken.namespaces.iter().position(|(name, _)| **name == *namespace);
        let place = known.unwrap_or_else(|| {
            spoken.namespaces.push((namespace.into(), TokenBucket::full(per_second(rate), now)));
            spoken.namespaces.len() - 1
        });
        let result = spoken.namespaces[place].1.take(1, per_second(rate), now);
        spoken.judge(result, now)
    }
}

impl Spoken {
    fn judge(&mut self, result: Result<(), Duration>, now: Instant) -> Result<(), TooFast> {
        let Err(wait) = result else { return Ok(()) };
        let before = self.refused.filter(|refused| now.saturating_duration_since(refused.last) < CALM);
        let Refused { count, first, .. } = before.unwrap_or(Refused { count: 0, first: now, last: now });
        let count = count.saturating_add(1);
        self.refused = Some(Refused { count, first, last: now });
        let deaf = count > REFUSED_MAX && now.saturating_duration_since(first) >= REFUSED_FOR;
        Err(TooFast { wait, deaf })
    }
}

fn per_second(per_second: u64) -> Rate {
    Rate { per_second, burst: per_second * BURST_S }
}

fn take(bucket: &mut Option<TokenBucket>, rate: u64, cost: u64, now: Instant) -> Result<(), Duration> {
    if rate == 0 {
        return Ok(());
    }
    let rate = per_second(rate);
    bucket.get_or_insert_with(|| TokenBucket::full(rate, now)).take(cost, rate, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_bytes_are_counted_each() {
        let start = Instant::now();
        let count = |rates, bytes| {
            let mut limit = RateLimit::default();
            (0..100).filter(|_| limit.message(rates, bytes, start).is_ok()).count()
        };
        assert_eq!(count(Rates { messages: 5, bytes: 0 }, 1000), 10);
        assert_eq!(count(Rates { messages: 5, bytes: 1000 }, 500), 4);
        assert_eq!(count(Rates::default(), 1 << 20), 100);
    }

    #[test]
    fn frames_are_held_back_and_never_refused() {
        let (start, mut limit) = (Instant::now(), RateLimit::default());
        let rates = Rates { messages: 10, bytes: 0 };
        assert_eq!(limit.frames(rates, 1280, start), Ok(()));
        assert_eq!(limit.frames(rates, 64, start), Err(Duration::from_millis(100)));
        assert_eq!(limit.frames(rates, 64, start + Duration::from_millis(100)), Ok(()));
        assert!(limit.message(rates, 1, start).is_ok());
        assert_eq!(limit.frames(Rates::default(), u32::MAX, start), Ok(()));
    }

    #[test]
    fn namespaces_have_rates_of_their_own() {
        let (start, mut limit) = (Instant::now(), RateLimit::default());
        assert!((0..4).all(|_| limit.publish("chat", 2, start).is_ok()));
        assert!(limit.publish("chat", 2, start).is_err());
        assert!(limit.publish("cursor", 2, start).is_ok());
        assert_eq!(limit.spoken.map(|spoken| spoken.namespaces.len()), Some(2));
    }

    /// Sends ten times as fast as it may, or waits as long as it is told to after each refusal; gives when it was
    /// found out.
    fn found_out(rest: impl Fn(u32) -> Duration, held_back: bool) -> Option<Duration> {
        let (start, mut limit) = (Instant::now(), RateLimit::default());
        let rates = Rates { messages: 20, bytes: 0 };
        let mut now = start;
        for count in 0..5000 {
            now += rest(count);
            match limit.message(rates, 10, now) {
                Err(TooFast { deaf: true, .. }) => return Some(now - start),
                Err(TooFast { wait, .. }) if held_back => now += wait,
                _ => {}
            }
        }
        None
    }

    #[test]
    fn who_never_listens_is_found_out() {
        let fast = |_| Duration::from_millis(5);
        let limits = REFUSED_FOR..REFUSED_FOR + 2 * CALM;
        assert!(found_out(fast, false).is_some_and(|after| limits.contains(&after)));
        // Also where it is held back, and every other message is let through.
        assert!(found_out(|_| Duration::ZERO, true).is_some_and(|after| limits.contains(&after)));
    }

    #[test]
    fn who_slows_down_is_not() {
        // As many at once as one likes, with some rest now and then.
        let batches = |count| if count % 200 == 0 { CALM } else { Duration::ZERO };
        assert_eq!(found_out(batches, true), None);
        assert_eq!(found_out(|_| Duration::ZERO, false), None, "it has had no time to notice");
        assert_eq!(found_out(|_| Duration::from_millis(50), false), None);
    }
}
