//! When each message is due, as a function of its number: a late sender stays late, and does not shift what follows.

use std::time::Duration;

use super::plan::Mode;
use super::stamp::ns;

/// The times of all messages of a run; a worker sends those of its own streams.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Messages a second at the begin.
    from: f64,
    /// How much it grows a second.
    slope: f64,
    /// Messages in all.
    count: u64,
}

impl Schedule {
    /// The schedule of a mode; `None` if messages are not due at times.
    pub fn new(mode: Mode, duration: Duration) -> Option<Self> {
        let seconds = duration.as_secs_f64();
        let (from, to) = match mode {
            Mode::Rate { per_second } => (per_second, per_second),
            Mode::Ramp { from, to } => (from, to),
            Mode::Closed { .. } | Mode::Idle | Mode::Storm { .. } => return None,
        };
        // Rounded against the error of the multiplication: 0.3 s of 10/s are 3 messages.
        let count = (((from + to) / 2.0 * seconds) + 1e-6) as u64;
        Some(Self { from, slope: (to - from) / seconds, count })
    }

    /// How many messages there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// When message `index` is due, in ns after the begin; `None` behind the last.
    pub fn due_ns(&self, index: u64) -> Option<u64> {
        if index >= self.count {
            return None;
        }
        // from·t + slope/2·t² = index; written so that it also holds where the slope is 0.
        let index = index as f64;
        let root = (self.from * self.from + 2.0 * self.slope * index).max(0.0).sqrt();
        let seconds = if index == 0.0 { 0.0 } else { 2.0 * index / (self.from + root) };
        Some(ns(Duration::from_secs_f64(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn fixed_rate() {
        let schedule = Schedule::new(Mode::Rate { per_second: 10.0 }, Duration::from_millis(300)).unwrap();
        assert_eq!(schedule.count(), 3);
        let due: Vec<_> = (0..4).map(|i| schedule.due_ns(i)).collect();
        assert_eq!(due, [Some(0), Some(SECOND / 10), Some(SECOND / 5), None]);
    }

    #[test]
    fn ramp() {
        let schedule = Schedule::new(Mode::Ramp { from: 0.0, to: 100.0 }, Duration::from_secs(10)).unwrap();
        assert_eq!(schedule.count(), 500);
        let due: Vec<_> = (0..500).map(|i| schedule.due_ns(i).unwrap()).collect();
        assert!(due.is_sorted());
        // Half of the time has a quarter of the messages.
        assert_eq!(due.iter().filter(|due| **due < 5 * SECOND).count(), 125);
        let falling = Schedule::new(Mode::Ramp { from: 100.0, to: 0.0 }, Duration::from_secs(10)).unwrap();
        let due: Vec<_> = (0..falling.count()).map(|i| falling.due_ns(i).unwrap()).collect();
        assert!(due.is_sorted() && *due.last().unwrap() <= 10 * SECOND);
    }

    #[test]
    fn others_have_none() {
        for mode in [Mode::Idle, Mode::Closed { window: 1 }, Mode::Storm { cycles: 1 }] {
            assert!(Schedule::new(mode, Duration::from_secs(1)).is_none());
        }
    }
}
