//! What Prometheus sees: the [table] of metrics, read when it is asked, in the text format.

mod reading;
mod source;
mod table;

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric as Line, MetricFamily, MetricType,
};
use prometheus::{Registry, TextEncoder};
use roomcast_hub::stats::BUCKETS_S;

use reading::{Distribution, Reading, Sample};
pub(crate) use source::Source;
use table::{Kind, METRICS, Metric};

/// The metrics of one node.
pub(crate) struct Metrics {
    registry: Registry,
}

impl Metrics {
    pub(crate) fn new(source: Arc<Source>) -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        registry.register(Box::new(Node { source, description: description()? }))?;
        Ok(Self { registry })
    }

    /// The text that Prometheus scrapes.
    pub(crate) fn text(&self) -> Result<String, String> {
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(|error| error.to_string())
    }
}

/// The registry wants one description for each collector; the families bring their own.
fn description() -> prometheus::Result<Desc> {
    Desc::new("roomcast".to_owned(), "one roomcast node".to_owned(), Vec::new(), Default::default())
}

struct Node {
    source: Arc<Source>,
    description: Desc,
}

impl Collector for Node {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        METRICS.iter().map(|metric| family(metric, (metric.read)(&self.source))).collect()
    }
}

fn family(metric: &Metric, reading: Reading) -> MetricFamily {
    let (kind, lines) = match (metric.kind, reading) {
        (_, Reading::Distribution(distribution)) => (MetricType::HISTOGRAM, vec![histogram(&distribution)]),
        (Kind::Counter, Reading::Samples(samples)) => {
            (MetricType::COUNTER, lines(metric, samples, set_counter))
        }
        (_, Reading::Samples(samples)) => (MetricType::GAUGE, lines(metric, samples, set_gauge)),
    };
    let mut family = MetricFamily::default();
    family.set_name(metric.name.to_owned());
    family.set_help(metric.help.to_owned());
    family.set_field_type(kind);
    family.set_metric(lines);
    family
}

fn lines(metric: &Metric, samples: Vec<Sample>, set: fn(&mut Line, f64)) -> Vec<Line> {
    let line = |(values, number): Sample| {
        let labels = metric.labels.iter().zip(values).map(|(name, value)| label(name, &value)).collect();
        let mut line = Line::from_label(labels);
        set(&mut line, number);
        line
    };
    samples.into_iter().map(line).collect()
}

fn set_counter(line: &mut Line, number: f64) {
    let mut counter = Counter::default();
    counter.set_value(number);
    line.set_counter(counter);
}

fn set_gauge(line: &mut Line, number: f64) {
    let mut gauge = Gauge::default();
    gauge.set_value(number);
    line.set_gauge(gauge);
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn histogram(distribution: &Distribution) -> Line {
    let mut cumulative = 0;
    let buckets = BUCKETS_S
        .iter()
        .zip(distribution.counts)
        .map(|(bound, count)| {
            cumulative += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(cumulative);
            bucket
        })
        .collect();
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(distribution.counts.iter().sum());
    histogram.set_sample_sum(distribution.sum_s);
    let mut line = Line::default();
    line.set_histogram(histogram);
    line
}
