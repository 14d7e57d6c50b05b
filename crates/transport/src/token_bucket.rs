//! How many of something may happen: so many a second, and a few at once.

use std::time::Instant;

/// A bucket that fills steadily and is emptied one by one.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full one.
    pub(crate) fn full(burst: usize, now: Instant) -> Self {
        Self { tokens: burst as f64, filled: now }
    }

    /// Takes a token if there is one. `per_s` come in each second, `burst` is what it holds; both may
    /// be others than before.
    pub(crate) fn take(&mut self, per_s: usize, burst: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled);
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + elapsed.as_secs_f64() * per_s as f64).min(burst as f64);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_then_a_steady_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(3, start);
        let mut taken = |ms, times| {
            let now = start + Duration::from_millis(ms);
            (0..times).filter(|_| bucket.take(10, 3, now)).count()
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
    fn other_settings_hold_at_once() {
        let now = Instant::now();
        let mut bucket = TokenBucket::full(100, now);
        assert!(bucket.take(1, 2, now) && bucket.take(1, 2, now) && !bucket.take(1, 2, now));
        assert!(bucket.take(1_000, 2, now + Duration::from_millis(1)));
    }
}
