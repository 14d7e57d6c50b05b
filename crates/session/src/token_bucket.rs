//! How many of something may happen: so many a second, and a few at once. `now` is passed in.

use std::time::{Duration, Instant};

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come each second; not 0.
    pub per_second: u64,
    /// Tokens that are there after a rest.
    pub burst: u64,
}

/// A bucket that fills steadily and is emptied bit by bit.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full one.
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { tokens: rate.burst as f64, filled: now }
    }

    /// Takes `cost` tokens, or tells how long it takes until they are there. What costs more than a full bucket is let
    /// through by one, and paid for afterwards. The rate may be another than before.
    pub fn take(&mut self, cost: u64, rate: Rate, now: Instant) -> Result<(), Duration> {
        let burst = rate.burst as f64;
        let come = now.saturating_duration_since(self.filled).as_secs_f64() * rate.per_second as f64;
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + come).min(burst);
        let needed = (cost as f64).min(burst);
        if self.tokens < needed {
            return Err(Duration::from_secs_f64((needed - self.tokens) / rate.per_second.max(1) as f64));
        }
        self.tokens -= cost as f64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    #[test]
    fn a_burst_then_a_steady_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(RATE, start);
        let mut taken = |ms, times| {
            let now = start + Duration::from_millis(ms);
            (0..times).filter(|_| bucket.take(1, RATE, now).is_ok()).count()
        };
        assert_eq!(taken(0, 5), 3);
        assert_eq!(taken(50, 5), 0);
        assert_eq!(taken(100, 5), 1);
        assert_eq!(taken(299, 5), 1, "the fraction is kept");
        assert_eq!(taken(300, 5), 1);
        assert_eq!(taken(60_000, 9), 3, "no more than a burst is saved up");
        assert_eq!(taken(1_000, 9), 0, "a clock that goes back gives nothing");
        assert_eq!(taken(60_100, 9), 1);
    }

    #[test]
    fn it_tells_how_long_to_wait() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(RATE, start);
        assert!(bucket.take(3, RATE, start).is_ok());
        assert_eq!(bucket.take(2, RATE, start), Err(Duration::from_millis(200)));
    }

    #[test]
    fn other_rates_hold_at_once() {
        let (now, slow) = (Instant::now(), Rate { per_second: 1, burst: 2 });
        let mut bucket = TokenBucket::full(Rate { per_second: 1, burst: 100 }, now);
        let taken = (0..5).filter(|_| bucket.take(1, slow, now).is_ok()).count();
        assert_eq!(taken, 2);
        let fast = Rate { per_second: 1_000, burst: 2 };
        assert!(bucket.take(1, fast, now + Duration::from_millis(1)).is_ok());
    }

    #[test]
    fn what_is_larger_than_the_bucket_is_paid_for_afterwards() {
        let (start, rate) = (Instant::now(), Rate { per_second: 10, burst: 20 });
        let mut bucket = TokenBucket::full(rate, start);
        assert!(bucket.take(100, rate, start).is_ok());
        assert!(bucket.take(1, rate, start + Duration::from_secs(8)).is_err());
        assert!(bucket.take(1, rate, start + Duration::from_millis(8_200)).is_ok());
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_a_burst(
            per_second in 1..1000u64,
            burst in 1..1000u64,
            steps in proptest::collection::vec((0..500u64, 1..20u64), 1..200),
        ) {
            let (start, rate) = (Instant::now(), Rate { per_second, burst });
            let (mut bucket, mut now, mut taken, mut largest) = (TokenBucket::full(rate, start), start, 0, 0);
            for (pause_ms, cost) in steps {
                now += Duration::from_millis(pause_ms);
                if bucket.take(cost, rate, now).is_ok() {
                    taken += cost;
                    largest = largest.max(cost);
                }
                let allowed = per_second as f64 * (now - start).as_secs_f64() + (burst + largest) as f64;
                prop_assert!(taken as f64 <= allowed + 0.001, "{taken} of {allowed}");
            }
        }
    }
}
