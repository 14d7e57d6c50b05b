//! What Prometheus sees. [`Metrics`] reads the counters of all shards when it is asked; nothing is
//! counted twice, and no label ever names a room or a user.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};
use roomcast_broker::Broker;
use roomcast_hub::stats::{BUCKETS_S, Counter as Count, Histogram as ShardHistogram, ShardStats};
use roomcast_hub::{HubStatus, OverflowPolicy};
use roomcast_protocol::{ErrorCode, WireForm};
use roomcast_transport::{Gate, Refused, Tls};

/// The metrics of one node.
pub(crate) struct Metrics {
    registry: Registry,
}

impl Metrics {
    pub(crate) fn new(
        shards: Vec<Arc<ShardStats>>,
        hub: Arc<HubStatus>,
        broker: Arc<dyn Broker>,
        gate: Arc<Gate>,
        admin_tls: Option<Arc<Tls>>,
    ) -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        registry.register(Box::new(Node {
            shards,
            hub,
            broker,
            gate,
            admin_tls,
            description: description()?,
        }))?;
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
    shards: Vec<Arc<ShardStats>>,
    hub: Arc<HubStatus>,
    broker: Arc<dyn Broker>,
    gate: Arc<Gate>,
    admin_tls: Option<Arc<Tls>>,
    description: Desc,
}

impl Collector for Node {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.clients();
        families.extend(self.door());
        families.extend(self.delivery());
        families.extend(self.cluster());
        families
    }
}

impl Node {
    fn clients(&self) -> Vec<MetricFamily> {
        vec![
            gauge(
                "roomcast_connections",
                "Connections that are open.",
                self.by_form(|shard| &shard.connections),
            ),
            counter(
                "roomcast_connections_opened_total",
                "Connections that were ever opened.",
                self.by_form(|shard| &shard.opened),
            ),
            counter(
                "roomcast_closes_total",
                "WebSocket connections by the code they were closed with.",
                by_number("code", self.shards.iter().flat_map(|shard| shard.closes())),
            ),
            counter(
                "roomcast_http_refusals_total",
                "Requests by the status they were refused with.",
                by_number("status", self.shards.iter().flat_map(|shard| shard.refusals())),
            ),
            counter(
                "roomcast_command_errors_total",
                "Commands of JSON mode that were answered with an error, by its code.",
                self.command_errors(),
            ),
            counter(
                "roomcast_slow_consumers_total",
                "Clients that were closed because they read too slowly.",
                one(self.sum(|shard| &shard.slow_consumers)),
            ),
            counter(
                "roomcast_silent_peers_total",
                "Clients that were closed because they showed no sign of life.",
                one(self.sum(|shard| &shard.silent_peers)),
            ),
            counter(
                "roomcast_rate_limited_total",
                "Messages of clients that were refused because they came too fast.",
                one(self.sum(|shard| &shard.rate_limited)),
            ),
            counter(
                "roomcast_user_connections_refused_total",
                "Connections that were refused because their user had as many as it may have.",
                one(self.sum(|shard| &shard.users_refused)),
            ),
            gauge(
                "roomcast_rooms",
                "Rooms with members, added up over the cores.",
                one(self.sum(|shard| &shard.rooms)),
            ),
            gauge(
                "roomcast_room_members",
                "Memberships of connections in rooms.",
                one(self.sum(|shard| &shard.members)),
            ),
            gauge(
                "roomcast_outbox_bytes",
                "Bytes that wait to be written to clients.",
                one(self.sum(|shard| &shard.outbox_bytes)),
            ),
        ]
    }

    fn door(&self) -> Vec<MetricFamily> {
        let refused = Refused::ALL
            .map(|reason| (vec![label("reason", reason.as_str())], self.gate.refusals.get(reason)));
        let expiries = [("public", &self.gate.tls), ("admin", &self.admin_tls)].map(|(listener, tls)| {
            (vec![label("listener", listener)], tls.as_ref().map_or(0, |tls| tls.expiry_s()))
        });
        vec![
            counter(
                "roomcast_connections_refused_total",
                "Connections that were turned away before their first request.",
                refused.into(),
            ),
            gauge(
                "roomcast_certificate_expiry_seconds",
                "When the first certificate of a listener expires, in seconds since 1970; 0 without TLS.",
                expiries.into(),
            ),
        ]
    }

    fn delivery(&self) -> Vec<MetricFamily> {
        let mut received = self.by_form(|shard| &shard.received);
        received.push((vec![label("transport", "http")], self.sum(|shard| &shard.received_http)));
        vec![
            counter("roomcast_messages_received_total", "Messages and commands that clients sent.", received),
            counter(
                "roomcast_received_bytes_total",
                "Bytes of messages that clients sent.",
                one(self.sum(|shard| &shard.received_bytes)),
            ),
            counter(
                "roomcast_messages_published_total",
                "Messages of clients that the broker has taken.",
                one(self.sum(|shard| &shard.published)),
            ),
            counter(
                "roomcast_publish_failures_total",
                "Messages of clients that the broker has not taken or not confirmed.",
                one(self.sum(|shard| &shard.publish_failed)),
            ),
            counter(
                "roomcast_messages_delivered_total",
                "Messages of rooms that were written to clients.",
                self.by_form(|shard| &shard.delivered),
            ),
            counter(
                "roomcast_messages_dropped_total",
                "Messages of rooms that were dropped because a client was too slow for them.",
                self.dropped(),
            ),
            counter(
                "roomcast_sent_bytes_total",
                "Bytes that were written to clients.",
                one(self.sum(|shard| &shard.sent_bytes)),
            ),
            counter(
                "roomcast_deflate_bytes_total",
                "Bytes of compressed messages, with and without compression; those that are sent are compressed and counted once for all recipients.",
                self.deflate(),
            ),
            self.histogram(
                "roomcast_delivery_latency_seconds",
                "From the gateway that took a message to the outboxes of its recipients on a core.",
                |shard| &shard.delivery_latency,
            ),
            self.histogram(
                "roomcast_fanout_duration_seconds",
                "One message into the outboxes of all its recipients on a core.",
                |shard| &shard.fanout_duration,
            ),
        ]
    }

    fn cluster(&self) -> Vec<MetricFamily> {
        let lag_us = self.shards.iter().map(|shard| shard.probe_lag_us.get()).max().unwrap_or(0);
        vec![
            gauge(
                "roomcast_broker_up",
                "1 while the connection to the other nodes stands.",
                one(u64::from(self.hub.is_broker_up())),
            ),
            counter(
                "roomcast_broker_reconnects_total",
                "Times that the connection to the other nodes was lost.",
                one(self.broker.reconnects()),
            ),
            gauge(
                "roomcast_broker_subscriptions",
                "Rooms that this node subscribes to.",
                one(self.hub.subscriptions()),
            ),
            family(
                "roomcast_broker_lag_seconds",
                "How long the last probe took through the broker to the slowest core.",
                MetricType::GAUGE,
                vec![gauge_metric(Vec::new(), lag_us as f64 / 1e6)],
            ),
            family(
                "roomcast_router_wait_seconds_total",
                "Time that the router has waited for busy cores.",
                MetricType::COUNTER,
                vec![counter_metric(Vec::new(), self.hub.waited_us() as f64 / 1e6)],
            ),
            gauge(
                "roomcast_build_info",
                "Always 1; the version is in the label.",
                vec![(vec![label("version", env!("CARGO_PKG_VERSION"))], 1)],
            ),
        ]
    }

    fn sum(&self, of: impl Fn(&ShardStats) -> &Count) -> u64 {
        // One core may have counted down what another counts up: add with wrap-around.
        self.shards.iter().fold(0, |sum: u64, shard| sum.wrapping_add(of(shard).get()))
    }

    fn by_form(&self, of: impl Fn(&ShardStats) -> &[Count; WireForm::COUNT]) -> Vec<Sample> {
        WireForm::ALL
            .into_iter()
            .map(|form| {
                (vec![label("transport", form.as_str())], self.sum(|shard| &of(shard)[form as usize]))
            })
            .collect()
    }

    fn deflate(&self) -> Vec<Sample> {
        let sample = |direction: &str, size: &str, of: fn(&ShardStats) -> &Count| {
            (vec![label("direction", direction), label("size", size)], self.sum(of))
        };
        vec![
            sample("sent", "plain", |shard| &shard.deflated_from_bytes),
            sample("sent", "compressed", |shard| &shard.deflated_bytes),
            sample("received", "plain", |shard| &shard.inflated_bytes),
            sample("received", "compressed", |shard| &shard.inflated_from_bytes),
        ]
    }

    fn dropped(&self) -> Vec<Sample> {
        let policies = OverflowPolicy::ALL.into_iter().filter(|policy| policy.is_lossy());
        policies
            .map(|policy| {
                let sum = self.sum(|shard| &shard.dropped[policy as usize]);
                (vec![label("policy", policy.as_str())], sum)
            })
            .collect()
    }

    fn command_errors(&self) -> Vec<Sample> {
        let sample = |code: ErrorCode| {
            let sum = self.sum(|shard| &shard.command_errors[code as usize]);
            (vec![label("code", code.as_str())], sum)
        };
        ErrorCode::ALL.into_iter().map(sample).collect()
    }

    fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        of: impl Fn(&ShardStats) -> &ShardHistogram,
    ) -> MetricFamily {
        let mut counts = [0; BUCKETS_S.len() + 1];
        let mut sum_s = 0.0;
        for shard in &self.shards {
            let histogram = of(shard);
            counts.iter_mut().zip(histogram.counts()).for_each(|(sum, count)| *sum += count);
            sum_s += histogram.sum_s();
        }
        let mut cumulative = 0;
        let buckets = BUCKETS_S
            .iter()
            .zip(counts)
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
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(sum_s);
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        family(name, help, MetricType::HISTOGRAM, vec![metric])
    }
}

/// Labels and a value.
type Sample = (Vec<LabelPair>, u64);

fn one(value: u64) -> Vec<Sample> {
    vec![(Vec::new(), value)]
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn counter(name: &str, help: &str, samples: Vec<Sample>) -> MetricFamily {
    let metrics = samples.into_iter().map(|(labels, value)| counter_metric(labels, value as f64)).collect();
    family(name, help, MetricType::COUNTER, metrics)
}

fn gauge(name: &str, help: &str, samples: Vec<Sample>) -> MetricFamily {
    let metrics = samples.into_iter().map(|(labels, value)| gauge_metric(labels, value as f64)).collect();
    family(name, help, MetricType::GAUGE, metrics)
}

fn counter_metric(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn gauge_metric(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
/// What all shards have counted by codes or statuses; 0 stands for all that are not listed.
fn by_number(name: &str, counts: impl Iterator<Item = (u16, u64)>) -> Vec<Sample> {
    let mut sums: Vec<(u16, u64)> = Vec::new();
    for (number, count) in counts {
        match sums.iter_mut().find(|(known, _)| *known == number) {
            Some((_, sum)) => *sum += count,
            None => sums.push((number, count)),
        }
    }
    let value = |number: u16| if number == 0 { "other".to_owned() } else { number.to_string() };
    sums.into_iter().map(|(number, count)| (vec![label(name, &value(number))], count)).collect()
}
