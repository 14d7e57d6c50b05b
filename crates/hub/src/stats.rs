//! What a shard counts. Each number is written by the shard's thread alone and read by any, so
//! counting costs a plain addition: no locked instruction, no shared cache line between cores.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use roomcast_broker::BrokerErrorKind;
use roomcast_protocol::{ErrorCode, WireForm};

use crate::overflow::OverflowPolicy;

/// A number that only one thread changes.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only from the owning thread.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Takes away; only from the owning thread.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(n), Ordering::Relaxed);
    }

    /// Sets; only from the owning thread.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Reads, from any thread.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of the histogram buckets, in seconds: from the cost of one delivery to an outage.
pub const BUCKETS_S: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One per bound, and one for everything above; not cumulative.
    buckets: [Counter; BUCKETS_S.len() + 1],
    sum_us: Counter,
}

impl Histogram {
    /// Counts one duration; only from the owning thread.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BUCKETS_S.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS_S.len());
        self.buckets[bucket].add(1);
        self.sum_us.add(duration.as_micros() as u64);
    }

    /// Counts per bucket, not cumulative, the last one above all bounds.
    pub fn counts(&self) -> [u64; BUCKETS_S.len() + 1] {
        std::array::from_fn(|i| self.buckets[i].get())
    }

    /// Sum of all durations, in seconds.
    pub fn sum_s(&self) -> f64 {
        self.sum_us.get() as f64 / 1e6
    }
}

/// Close codes that are counted by themselves; every other one counts as 0.
pub const CLOSE_CODES: [u16; 16] =
    [0, 1000, 1001, 1002, 1003, 1005, 1007, 1008, 1009, 1012, 4001, 4401, 4403, 4408, 4410, 4429];

/// Statuses of refused requests that are counted by themselves; every other one counts as 0.
pub const REFUSAL_STATUSES: [u16; 15] =
    [0, 400, 401, 403, 404, 405, 408, 413, 414, 415, 421, 426, 429, 431, 503];

/// What a client asks for that wants to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/ws`, whatever mode it asks for.
    WebSocket,
    /// `/sse`.
    Sse,
    /// `/poll`.
    Poll,
}

impl Endpoint {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::WebSocket, Self::Sse, Self::Poll];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
            Self::Poll => "poll",
        }
    }
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connect {
    /// It is served.
    Accepted,
    /// The client has asked wrongly, or may not.
    Refused,
    /// The node leaves, and takes nobody any more.
    Draining,
    /// The broker does not answer.
    Unavailable,
    /// Something in the node went wrong.
    Internal,
}

impl Connect {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Accepted, Self::Refused, Self::Draining, Self::Unavailable, Self::Internal];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Draining => "draining",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// Why a client is asked to go elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The node ends.
    Drain,
    /// The connection is as old as connections may get.
    Age,
}

impl Leave {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Drain, Self::Age];

    /// What clients are told, and the name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Age => "age",
        }
    }
}

/// The numbers of one shard.
#[derive(Debug, Default)]
pub struct ShardStats {
    /// Connections that are open, by form.
    pub connections: [Counter; WireForm::COUNT],
    /// Connections ever opened, by form.
    pub opened: [Counter; WireForm::COUNT],
    /// Messages that clients sent over a connection, by form.
    pub received: [Counter; WireForm::COUNT],
    /// Messages that came by HTTP POST.
    pub received_http: Counter,
    /// Bytes of payload that clients sent.
    pub received_bytes: Counter,
    /// Publications that the broker has taken.
    pub published: Counter,
    /// Publications that the broker has not taken, or not confirmed, by kind.
    publish_failed: [Counter; BrokerErrorKind::ALL.len()],
    /// From a client's message to the broker's word that it has it.
    pub publish_duration: Histogram,
    /// Requests to stay, by what came of them.
    connects: [[Counter; Connect::ALL.len()]; Endpoint::ALL.len()],
    /// Rooms with history that clients came back to: history covered all that they had missed.
    pub resumes_complete: Counter,
    /// The same where it did not.
    pub resumes_missed: Counter,
    /// Memberships for which history could not cover a gap in the middle.
    pub resets: Counter,
    /// Pages of history that clients have asked for, and got.
    pub history_read: Counter,
    /// The same that could not be read.
    pub history_failed: Counter,
    /// Clients that were asked to go elsewhere.
    asked_to_leave: [Counter; Leave::ALL.len()],
    /// Messages written to clients, by form.
    pub delivered: [Counter; WireForm::COUNT],
    /// Bytes written to clients.
    pub sent_bytes: Counter,
    /// Bytes of messages before they were compressed, which is done once for all recipients.
    pub deflated_from_bytes: Counter,
    /// Bytes of the same messages afterwards.
    pub deflated_bytes: Counter,
    /// Bytes of compressed messages that clients sent.
    pub inflated_from_bytes: Counter,
    /// Bytes of the same messages once they were inflated.
    pub inflated_bytes: Counter,
    /// Bytes that wait in outboxes.
    pub outbox_bytes: Counter,
    /// Clients that were closed because they read too slowly.
    pub slow_consumers: Counter,
    /// Messages of clients that were refused because they came too fast.
    pub rate_limited: Counter,
    /// Connections that were refused because their user had as many as it may have.
    pub users_refused: Counter,
    /// Messages that were dropped because a client was too slow for them, by policy.
    pub dropped: [Counter; OverflowPolicy::COUNT],
    /// Clients that were closed because they showed no sign of life.
    pub silent_peers: Counter,
    /// WebSocket connections by the code that the server closed them with.
    closes: [Counter; CLOSE_CODES.len()],
    /// Requests by the status that they were refused with.
    refusals: [Counter; REFUSAL_STATUSES.len()],
    /// Commands of JSON mode that were answered with an error, by its code.
    pub command_errors: [Counter; ErrorCode::ALL.len()],
    /// Rooms with members.
    pub rooms: Counter,
    /// Memberships.
    pub members: Counter,
    /// From the gateway that took a message to the outboxes of its recipients.
    pub delivery_latency: Histogram,
    /// One publication to all members on this shard.
    pub fanout_duration: Histogram,
    /// The last probe that came round, as the time it was sent, in ms since the node started.
    pub probe_sent_ms: Counter,
    /// How long the last probe took, in µs.
    pub probe_lag_us: Counter,
    /// How long probes took.
    pub probe_latency: Histogram,
}

impl ShardStats {
    /// Counts a close code.
    pub fn closed(&self, code: u16) {
        let place = CLOSE_CODES.iter().position(|known| *known == code).unwrap_or(0);
        self.closes[place].add(1);
    }

    /// Counts the status of a refusal.
    pub fn refused(&self, status: u16) {
        let place = REFUSAL_STATUSES.iter().position(|known| *known == status).unwrap_or(0);
        self.refusals[place].add(1);
    }

    /// Statuses of refusals and how often each was used.
    pub fn refusals(&self) -> impl Iterator<Item = (u16, u64)> {
        REFUSAL_STATUSES.into_iter().zip(&self.refusals).map(|(status, counter)| (status, counter.get()))
    }

    /// Counts a request to stay.
    pub fn connect(&self, endpoint: Endpoint, outcome: Connect) {
        self.connects[endpoint as usize][outcome as usize].add(1);
    }

    /// How often a request to stay had this outcome.
    pub fn connects(&self, endpoint: Endpoint, outcome: Connect) -> u64 {
        self.connects[endpoint as usize][outcome as usize].get()
    }

    /// Counts a publication that has failed.
    pub fn publish_failed(&self, kind: BrokerErrorKind) {
        self.publish_failed[kind as usize].add(1);
    }

    /// How many publications have failed in this way.
    pub fn publish_failures(&self, kind: BrokerErrorKind) -> u64 {
        self.publish_failed[kind as usize].get()
    }

    /// Counts a client that is asked to go elsewhere.
    pub fn asked_to_leave(&self, reason: Leave) {
        self.asked_to_leave[reason as usize].add(1);
    }

    /// How many were asked to go elsewhere.
    pub fn leavers(&self, reason: Leave) -> u64 {
        self.asked_to_leave[reason as usize].get()
    }

    /// Codes and how often each was used.
    pub fn closes(&self) -> impl Iterator<Item = (u16, u64)> {
        CLOSE_CODES.into_iter().zip(&self.closes).map(|(code, counter)| (code, counter.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram() {
        let histogram = Histogram::default();
        for us in [50, 100, 101, 6_000_000] {
            histogram.observe(Duration::from_micros(us));
        }
        let counts = histogram.counts();
        assert_eq!((counts[0], counts[1], counts[BUCKETS_S.len()]), (2, 1, 1));
        assert!((histogram.sum_s() - 6.000_251).abs() < 1e-9);
    }

    #[test]
    fn numbers_are_places() {
        assert!(Endpoint::ALL.into_iter().enumerate().all(|(place, item)| item as usize == place));
        assert!(Connect::ALL.into_iter().enumerate().all(|(place, item)| item as usize == place));
        assert!(Leave::ALL.into_iter().enumerate().all(|(place, item)| item as usize == place));
        assert!(BrokerErrorKind::ALL.into_iter().enumerate().all(|(place, item)| item as usize == place));
    }

    #[test]
    fn close_codes() {
        let stats = ShardStats::default();
        for code in [4408, 4408, 3000] {
            stats.closed(code);
        }
        let counted: Vec<_> = stats.closes().filter(|(_, n)| *n > 0).collect();
        assert_eq!(counted, [(0, 1), (4408, 2)]);
    }
}
