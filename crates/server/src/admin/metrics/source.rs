//! Where metrics are read: the counters of all shards and what the rest of the node knows of itself. Nothing is
//! counted twice; whoever counts is asked when somebody scrapes.

use std::borrow::Cow;
use std::sync::Arc;

use roomcast_broker::{Broker, WeakEventSender};
use roomcast_hub::stats::{Connect, Counter, Endpoint, Histogram, ShardStats};
use roomcast_hub::{HubStatus, ReadFor, ShardMessage};
use roomcast_protocol::WireForm;
use roomcast_session::UserConnections;
use roomcast_session::auth::Authenticator;
use roomcast_transport::{Gate, Load, Refused, Tls};
use tokio::runtime::RuntimeMetrics;
use tokio::sync::mpsc::WeakSender;

use super::reading::{Distribution, Reading, Sample, by_two, one};
use crate::health::Health;
use crate::log::LineLimit;
use crate::otlp::SpanCounts;
use crate::share::Share;

/// Everything that is asked.
pub(crate) struct Source {
    pub(crate) shards: Vec<Arc<ShardStats>>,
    pub(crate) hub: Arc<HubStatus>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) admin_tls: Option<Arc<Tls>>,
    pub(crate) health: Arc<Health>,
    pub(crate) share: Arc<Share>,
    pub(crate) spans: Arc<SpanCounts>,
    pub(crate) lines: Arc<LineLimit>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) users: Arc<UserConnections>,
    /// One for each core.
    pub(crate) loads: Vec<Arc<Load>>,
    pub(crate) connections_max: usize,
    /// By the names of the threads.
    pub(crate) threads: Vec<(String, RuntimeMetrics)>,
    pub(crate) events: WeakEventSender,
    /// One for each core.
    pub(crate) inboxes: Vec<WeakSender<ShardMessage>>,
}

/// How full a queue is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queue {
    pub(super) name: &'static str,
    pub(super) length: usize,
    pub(super) limit: usize,
}

impl Source {
    pub(super) fn sum(&self, of: impl Fn(&ShardStats) -> &Counter) -> Reading {
        one(self.add(|shard| of(shard).get()) as f64)
    }

    pub(crate) fn add(&self, of: impl Fn(&ShardStats) -> u64) -> u64 {
        // One core may have counted down what another counts up: add with wrap-around.
        self.shards.iter().fold(0, |sum: u64, shard| sum.wrapping_add(of(shard)))
    }

    fn forms(&self, of: impl Fn(&ShardStats) -> &[Counter; WireForm::COUNT]) -> Vec<Sample> {
        let value = |form: WireForm| self.add(|shard| of(shard)[form as usize].get()) as f64;
        WireForm::ALL.map(|form| (vec![Cow::Borrowed(form.as_str())], value(form))).into()
    }

    pub(super) fn by_form(&self, of: impl Fn(&ShardStats) -> &[Counter; WireForm::COUNT]) -> Reading {
        Reading::Samples(self.forms(of))
    }

    pub(super) fn received(&self) -> Reading {
        let mut samples = self.forms(|shard| &shard.received);
        samples.push((vec!["http".into()], self.add(|shard| shard.received_http.get()) as f64));
        Reading::Samples(samples)
    }

    pub(super) fn deflate(&self) -> Reading {
        let sides = ["sent", "received"];
        by_two(
            &sides,
            &["plain", "compressed"],
            |name| name,
            |name| name,
            |side, size| {
                self.add(|shard| match (side, size) {
                    ("sent", "plain") => shard.deflated_from_bytes.get(),
                    ("sent", _) => shard.deflated_bytes.get(),
                    (_, "plain") => shard.inflated_bytes.get(),
                    _ => shard.inflated_from_bytes.get(),
                })
            },
        )
    }

    pub(super) fn connect_failures(&self) -> Reading {
        let at_the_door =
            self.gate.refusals.get(Refused::Full).wrapping_add(self.gate.refusals.get(Refused::Rate));
        let inside = |outcome| {
            let endpoints = Endpoint::ALL.into_iter();
            endpoints.map(|endpoint| self.add(|shard| shard.connects(endpoint, outcome))).sum::<u64>()
        };
        let failures = [
            ("full", at_the_door),
            ("draining", inside(Connect::Draining)),
            ("unavailable", inside(Connect::Unavailable)),
            ("internal", inside(Connect::Internal)),
        ];
        named(failures)
    }

    pub(super) fn resumes(&self) -> Reading {
        named([
            ("complete", self.add(|shard| shard.resumes_complete.get())),
            ("missed", self.add(|shard| shard.resumes_missed.get())),
        ])
    }

    pub(super) fn slices(&self) -> Reading {
        named([("memory", self.hub.slices_at_hand()), ("broker", self.hub.reads(ReadFor::Resume, true))])
    }

    pub(super) fn history_reads(&self) -> Reading {
        let mut samples: Vec<Sample> = Vec::new();
        let mut add = |purpose: &'static str, result: &'static str, count: u64| {
            samples.push((vec![purpose.into(), result.into()], count as f64));
        };
        for purpose in ReadFor::ALL {
            add(purpose.as_str(), "ok", self.hub.reads(purpose, true));
            add(purpose.as_str(), "error", self.hub.reads(purpose, false));
        }
        add("client", "ok", self.add(|shard| shard.history_read.get()));
        add("client", "error", self.add(|shard| shard.history_failed.get()));
        Reading::Samples(samples)
    }

    pub(super) fn certificates(&self) -> Reading {
        let expiry = |tls: &Option<Arc<Tls>>| tls.as_ref().map_or(0, |tls| tls.expiry_s());
        named([("public", expiry(&self.gate.tls)), ("admin", expiry(&self.admin_tls))])
    }

    pub(super) fn queues(&self) -> [Queue; 3] {
        // What has ended has nothing waiting.
        let events = self.events.upgrade().map_or((0, 0), |queue| fill(&queue));
        let inboxes = self.inboxes.iter().filter_map(|inbox| Some(fill(&inbox.upgrade()?)));
        let inbox = inboxes.max().unwrap_or_default();
        let broker = self.broker.status();
        [
            ("broker_events", events),
            ("core_inbox", inbox),
            ("broker_commands", (broker.commands, broker.commands_max)),
        ]
        .map(|(name, (length, limit))| Queue { name, length, limit })
    }

    pub(super) fn busy(&self) -> Reading {
        let sample = |(name, thread): &(String, RuntimeMetrics)| {
            (vec![name.clone().into()], thread.worker_total_busy_duration(0).as_secs_f64())
        };
        Reading::Samples(self.threads.iter().map(sample).collect())
    }

    pub(super) fn histogram(&self, of: impl Fn(&ShardStats) -> &Histogram) -> Reading {
        let mut sum = Distribution::default();
        for shard in &self.shards {
            let histogram = of(shard);
            sum.counts.iter_mut().zip(histogram.counts()).for_each(|(sum, count)| *sum += count);
            sum.sum_s += histogram.sum_s();
        }
        Reading::Distribution(sum)
    }
}

pub(super) fn named<const N: usize>(values: [(&'static str, u64); N]) -> Reading {
    Reading::Samples(values.map(|(name, value)| (vec![name.into()], value as f64)).into())
}

/// How many entries wait in a queue, and how many may.
fn fill<T>(queue: &tokio::sync::mpsc::Sender<T>) -> (usize, usize) {
    (queue.max_capacity() - queue.capacity(), queue.max_capacity())
}
