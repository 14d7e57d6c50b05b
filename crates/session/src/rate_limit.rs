//! How fast one connection may send: token buckets, with `now` passed in.

use std::time::{Duration, Instant};

/// A bucket holds what is allowed in so long, so that a burst after a rest is none.
const BURST: Duration = Duration::from_secs(2);

/// Lets through so much a second on average.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket; `per_second` is not 0.
    pub fn new(per_second: u64, now: Instant) -> Self {
        let per_second = per_second as f64;
        Self { per_second, tokens: per_second * BURST.as_secs_f64(), filled: now }
    }

    /// Takes `cost`, or tells how long it takes until there is enough. What costs more than a whole bucket is let
    /// through by a full one, and paid for afterwards.
    pub fn take(&mut self, cost: u64, now: Instant) -> Result<(), Duration> {
        let capacity = self.per_second * BURST.as_secs_f64();
        let filled = now.saturating_duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + filled).min(capacity);
        self.filled = self.filled.max(now);
        let needed = (cost as f64).min(capacity);
        if self.tokens < needed {
            return Err(Duration::from_secs_f64((needed - self.tokens) / self.per_second));
        }
        self.tokens -= cost as f64;
        Ok(())
    }
}

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
    messages: Option<(u64, TokenBucket)>,
    bytes: Option<(u64, TokenBucket)>,
    /// By namespace; only of those that have a rate of their own.
    namespaces: Vec<(Box<str>, u64, TokenBucket)>,
    /// Messages refused one after the other.
    refused: u32,
}

/// Messages refused one after the other before the connection is closed: a client that has not noticed by then
/// does not listen.
const REFUSED_MAX: u32 = 100;

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
        let result = take(&mut self.messages, rates.messages, 1, now)
            .and_then(|()| take(&mut self.bytes, rates.bytes, bytes as u64, now));
        self.judge(result)
    }

    /// It is to be published in this namespace, which has a rate of its own.
    pub(crate) fn publish(&mut self, namespace: &str, rate: u64, now: Instant) -> Result<(), TooFast> {
        let place = self.namespaces.iter().position(|(name, for_rate, _)| **name == *namespace && *for_rate == rate);
        let place = place.unwrap_or_else(|| {
            self.namespaces.retain(|(name, ..)| **name != *namespace);
            self.namespaces.push((namespace.into(), rate, TokenBucket::new(rate, now)));
            self.namespaces.len() - 1
        });
        let result = self.namespaces[place].2.take(1, now);
        self.judge(result)
    }

    fn judge(&mut self, result: Result<(), Duration>) -> Result<(), TooFast> {
        match result {
            Ok(()) => {
                self.refused = 0;
                Ok(())
            }
            Err(wait) => {
                self.refused += 1;
                Err(TooFast { wait, deaf: self.refused > REFUSED_MAX })
            }
        }
    }
}

fn take(bucket: &mut Option<(u64, TokenBucket)>, rate: u64, cost: u64, now: Instant) -> Result<(), Duration> {
    if rate == 0 {
        return Ok(());
    }
    // Another rate since the configuration was loaded anew: a fresh bucket.
    if bucket.is_none_or(|(for_rate, _)| for_rate != rate) {
        *bucket = Some((rate, TokenBucket::new(rate, now)));
    }
    bucket.as_mut().map_or(Ok(()), |(_, bucket)| bucket.take(cost, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, start);
        assert!((0..20).all(|_| bucket.take(1, start).is_ok()));
        assert_eq!(bucket.take(1, start), Err(Duration::from_millis(100)));
        assert!(bucket.take(1, start + Duration::from_millis(100)).is_ok());
        assert!(bucket.take(1, start + Duration::from_millis(100)).is_err());
    }

    #[test]
    fn one_that_is_larger_than_the_bucket_is_paid_for_afterwards() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, start);
        assert!(bucket.take(100, start).is_ok());
        assert!(bucket.take(1, start + Duration::from_secs(8)).is_err());
        assert!(bucket.take(1, start + Duration::from_secs(9)).is_ok());
    }

    #[test]
    fn namespaces_have_rates_of_their_own() {
        let (start, mut limit) = (Instant::now(), RateLimit::default());
        assert!((0..4).all(|_| limit.publish("chat", 2, start).is_ok()));
        assert!(limit.publish("chat", 2, start).is_err());
        assert!(limit.publish("cursor", 2, start).is_ok());
        assert!(limit.publish("chat", 3, start).is_ok(), "the rate has changed");
        assert_eq!(limit.namespaces.len(), 2);
    }

    #[test]
    fn who_never_listens_is_found_out() {
        let (start, mut limit) = (Instant::now(), RateLimit::default());
        let rates = Rates { messages: 1, bytes: 0 };
        let results: Vec<_> = (0..200).map(|_| limit.message(rates, 10, start)).collect();
        assert!(results[..2].iter().all(Result::is_ok));
        assert!(results[2..102].iter().all(|result| result.is_err_and(|error| !error.deaf)));
        assert!(results[102..].iter().all(|result| result.is_err_and(|error| error.deaf)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_a_burst(
            rate in 1..1000u64,
            steps in proptest::collection::vec((0..500u64, 1..20u64), 1..200),
        ) {
            let start = Instant::now();
            let (mut bucket, mut now, mut taken, mut largest) = (TokenBucket::new(rate, start), start, 0, 0);
            for (pause_ms, cost) in steps {
                now += Duration::from_millis(pause_ms);
                if bucket.take(cost, now).is_ok() {
                    taken += cost;
                    largest = largest.max(cost);
                }
                let allowed = rate as f64 * ((now - start).as_secs_f64() + 2.0) + largest as f64;
                prop_assert!(taken as f64 <= allowed + 0.001, "{taken} of {allowed}");
            }
        }
    }
}
