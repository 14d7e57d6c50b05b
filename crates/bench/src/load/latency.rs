//! Distributions of times, and what is said of them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A minute: what takes longer counts as that.
const LONGEST_NS: u64 = 60_000_000_000;

/// Times in ns, kept with three significant digits.
#[derive(Debug, Clone)]
pub struct Latency {
    histogram: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1_000, LONGEST_NS, 3);
        Self { histogram: histogram.expect("the bounds are constants that the library takes") }
    }
}

/// The values that occurred and how often, to be sent from one process to another.
pub type Samples = Vec<(u64, u64)>;

impl Latency {
    /// Adds one time.
    pub fn record(&mut self, ns: u64) {
        self.histogram.saturating_record(ns);
    }

    /// Adds those of another process.
    pub fn add(&mut self, samples: &Samples) {
        for (ns, count) in samples {
            self.histogram.saturating_record_n(*ns, *count);
        }
    }

    /// Everything recorded, and begins anew.
    pub fn take(&mut self) -> Samples {
        let samples = self.samples();
        self.histogram.reset();
        samples
    }

    /// Everything recorded.
    pub fn samples(&self) -> Samples {
        let recorded = self.histogram.iter_recorded();
        recorded.map(|value| (value.value_iterated_to(), value.count_at_value())).collect()
    }

    /// For each percentage, how long so many took at most, in ms.
    pub fn percentiles(&self, percents: &[f64]) -> Vec<(f64, f64)> {
        let at = |percent: &f64| (*percent, self.histogram.value_at_percentile(*percent) as f64 / 1e6);
        if self.histogram.is_empty() { Vec::new() } else { percents.iter().map(at).collect() }
    }

    /// What is said of it; all zero if nothing was recorded.
    pub fn summary(&self) -> Summary {
        let histogram = &self.histogram;
        if histogram.is_empty() {
            return Summary::default();
        }
        let ms = |ns: u64| ns as f64 / 1e6;
        let at = |percent: f64| ms(histogram.value_at_percentile(percent));
        Summary {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e6,
            p50_ms: at(50.0),
            p90_ms: at(90.0),
            p99_ms: at(99.0),
            p999_ms: at(99.9),
            max_ms: ms(histogram.max()),
        }
    }
}

/// A distribution in a few numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many were recorded.
    pub count: u64,
    /// Their mean.
    pub mean_ms: f64,
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// 90 % took no longer.
    pub p90_ms: f64,
    /// 99 % took no longer.
    pub p99_ms: f64,
    /// 99.9 % took no longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// The middle of some numbers; the mean of the two in the middle if they are even; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[len / 2],
        len => (sorted[len / 2 - 1] + sorted[len / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_of_known_values() {
        let mut latency = Latency::default();
        assert_eq!(latency.summary(), Summary::default());
        (1..=1000).for_each(|ms| latency.record(ms * 1_000_000));
        let summary = latency.summary();
        let near =
            |value: f64, expected: f64| assert!((value / expected - 1.0).abs() < 0.002, "{value} {expected}");
        assert_eq!(summary.count, 1000);
        near(summary.p50_ms, 500.0);
        near(summary.p99_ms, 990.0);
        near(summary.p999_ms, 999.0);
        near(summary.max_ms, 1000.0);
        near(summary.mean_ms, 500.5);
    }

    #[test]
    fn sent_and_added_it_is_the_same() {
        let mut here = Latency::default();
        (0..10_000).for_each(|i| here.record(i * i * 700));
        here.record(u64::MAX);
        let mut there = Latency::default();
        there.add(&here.samples());
        there.add(&Latency::default().samples());
        assert_eq!(there.summary().count, 10_001);
        assert_eq!(there.summary().p99_ms, here.summary().p99_ms);
        let taken = here.take();
        assert_eq!(taken, there.samples());
        assert_eq!(here.summary().count, 0);
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
