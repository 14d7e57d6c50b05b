//! Every metric of a node: its name, its labels, what it means, and where it is read. One table: what is
//! scraped comes from it, and a test holds the table in `docs/operations.md` to what is scraped.
//!
//! No label ever names a room or a user: those have no bound, and are nobody's business.

use roomcast_broker::BrokerErrorKind;
use roomcast_hub::OverflowPolicy;
use roomcast_hub::stats::{Connect, Endpoint, Leave};
use roomcast_protocol::ErrorCode;
use roomcast_transport::Refused;

use super::reading::{Reading, by, by_number, by_two, one, per_place};
use super::source::{Source, named};

/// One metric.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Names of the labels, in the order of a sample's values.
    pub(super) labels: &'static [&'static str],
    /// A sentence without its full stop, as it stands in the documents.
    pub(super) help: &'static str,
    pub(super) read: fn(&Source) -> Reading,
}

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

type Labels = &'static [&'static str];

const fn counter(
    name: &'static str,
    labels: Labels,
    help: &'static str,
    read: fn(&Source) -> Reading,
) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help, read }
}

const fn gauge(
    name: &'static str,
    labels: Labels,
    help: &'static str,
    read: fn(&Source) -> Reading,
) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help, read }
}

const fn histogram(name: &'static str, help: &'static str, read: fn(&Source) -> Reading) -> Metric {
    Metric { name, kind: Kind::Histogram, labels: &[], help, read }
}

/// All of them, in the order of the documents.
#[rustfmt::skip] // A row is easier to compare with the others than to read alone.
pub(super) const METRICS: &[Metric] = &[
    // Who is here.
    gauge("roomcast_connections", &["transport"], "open conversations: WebSockets, event streams, polls under way",
        |s| s.by_form(|shard| &shard.connections)),
    counter("roomcast_connections_opened_total", &["transport"], "conversations ever opened",
        |s| s.by_form(|shard| &shard.opened)),
    gauge("roomcast_sockets", &["core"], "connections that a core holds, with or without a conversation on them",
        |s| per_place(s.loads.iter().map(|load| load.get() as f64))),
    gauge("roomcast_connections_limit", &[], "the sockets of all cores may be so many: `limits.connections`, or what the descriptor limit allows if that is less",
        |s| one(s.connections_max as f64)),
    gauge("roomcast_users", &[], "signed-in users with a connection to this node",
        |s| one(s.users.users() as f64)),
    gauge("roomcast_rooms", &[], "rooms with members, added up over the cores",
        |s| s.sum(|shard| &shard.rooms)),
    gauge("roomcast_room_members", &[], "memberships of connections in rooms",
        |s| s.sum(|shard| &shard.members)),

    // Who came and was let in, or not.
    counter("roomcast_connects_total", &["transport", "outcome"], "answers to requests for `/ws`, `/sse` and `/poll` by what came of them: `accepted`, `refused` (the client's mistake, or not allowed), and the failures of this node `draining`, `unavailable`, `internal`",
        |s| by_two(&Endpoint::ALL, &Connect::ALL, Endpoint::as_str, Connect::as_str, |endpoint, outcome| s.add(|shard| shard.connects(endpoint, outcome)))),
    counter("roomcast_connect_failures_total", &["reason"], "clients that this node failed, whoever was at the door: `full` (`limits.connections`, `limits.handshakes_per_second`), `draining`, `unavailable` (the broker does not answer), `internal`",
        Source::connect_failures),
    counter("roomcast_connections_refused_total", &["reason"], "turned away before a request: `full` (`limits.connections`), `rate`, `address`, `proxy`, `tls`",
        |s| by(Refused::ALL, Refused::as_str, |reason| s.gate.refusals.get(reason))),
    counter("roomcast_http_refusals_total", &["status"], "requests by the status they were refused with: 401, 413, 429 …",
        |s| by_number(s.shards.iter().flat_map(|shard| shard.refusals()))),
    counter("roomcast_user_connections_refused_total", &[], "connections refused for `limits.connections_per_user`",
        |s| s.sum(|shard| &shard.users_refused)),

    // How they left.
    counter("roomcast_closes_total", &["code"], "WebSocket connections by close code",
        |s| by_number(s.shards.iter().flat_map(|shard| shard.closes()))),
    counter("roomcast_goodbyes_total", &["reason"], "clients that were asked to go elsewhere: `drain` (the node ends), `age` (`server.max_connection_age`)",
        |s| by(Leave::ALL, Leave::as_str, |reason| s.add(|shard| shard.leavers(reason)))),
    counter("roomcast_slow_consumers_total", &[], "closed because they read too slowly",
        |s| s.sum(|shard| &shard.slow_consumers)),
    counter("roomcast_silent_peers_total", &[], "closed because they showed no sign of life",
        |s| s.sum(|shard| &shard.silent_peers)),

    // What clients sent.
    counter("roomcast_messages_received_total", &["transport"], "messages and commands that clients sent",
        Source::received),
    counter("roomcast_received_bytes_total", &[], "bytes of messages that clients sent",
        |s| s.sum(|shard| &shard.received_bytes)),
    counter("roomcast_rate_limited_total", &[], "messages refused because they came too fast: `limits.messages_per_second`, `limits.bytes_per_second`, `rate` of a namespace",
        |s| s.sum(|shard| &shard.rate_limited)),
    counter("roomcast_command_errors_total", &["code"], "commands of JSON mode that were answered with an error: `forbidden`, `too_large`, `room_limit` …",
        |s| by(ErrorCode::ALL, ErrorCode::as_str, |code| s.add(|shard| shard.command_errors[code as usize].get()))),
    counter("roomcast_messages_published_total", &[], "messages of clients that the broker has taken",
        |s| s.sum(|shard| &shard.published)),
    counter("roomcast_publish_failures_total", &["reason"], "messages of clients that the broker has not taken (`unavailable`), has refused (`rejected`), or has not confirmed (`in_doubt`)",
        |s| by(BrokerErrorKind::ALL, BrokerErrorKind::as_str, |kind| s.add(|shard| shard.publish_failures(kind)))),
    histogram("roomcast_publish_duration_seconds", "from a client's message to the broker's word that it has it",
        |s| s.histogram(|shard| &shard.publish_duration)),

    // What they got.
    counter("roomcast_messages_delivered_total", &["transport"], "messages that were written to clients",
        |s| s.by_form(|shard| &shard.delivered)),
    counter("roomcast_sent_bytes_total", &[], "bytes that were written to clients",
        |s| s.sum(|shard| &shard.sent_bytes)),
    counter("roomcast_deflate_bytes_total", &["direction", "size"], "compressed WebSocket messages, `sent` (counted once for all recipients) and `received`, in their `plain` and their `compressed` size",
        Source::deflate),
    counter("roomcast_messages_dropped_total", &["policy"], "messages that were not written to clients that were too slow for them, in rooms with `overflow` `drop_oldest` or `latest`",
        |s| by(OverflowPolicy::ALL.into_iter().filter(|policy| policy.is_lossy()), OverflowPolicy::as_str, |policy| s.add(|shard| shard.dropped[policy as usize].get()))),
    gauge("roomcast_outbox_bytes", &[], "bytes that wait to be written to clients",
        |s| s.sum(|shard| &shard.outbox_bytes)),
    histogram("roomcast_delivery_latency_seconds", "from the gateway that took a message to the recipients' outboxes, across nodes; as exact as the nodes' clocks",
        |s| s.histogram(|shard| &shard.delivery_latency)),
    histogram("roomcast_fanout_duration_seconds", "one message into all outboxes of a core",
        |s| s.histogram(|shard| &shard.fanout_duration)),

    // What is kept, and who came back for it.
    counter("roomcast_resumes_total", &["result"], "rooms with history that clients came back to with a cursor: history had all that they had missed (`complete`), or not (`missed`)",
        Source::resumes),
    counter("roomcast_resets_total", &[], "memberships that lost messages in the middle, because history could not cover a gap",
        |s| s.sum(|shard| &shard.resets)),
    counter("roomcast_resume_slices_total", &["source"], "what those who came back had missed: `memory` of this node, or `broker`; one read there answers all who ask the same",
        Source::slices),
    counter("roomcast_history_reads_total", &["purpose", "result"], "reads of history at the broker, `ok` or `error`: for rooms of this node (`repair`), for those who came back (`resume`), for those who asked (`client`)",
        Source::history_reads),

    // What connects the nodes.
    gauge("roomcast_broker_up", &[], "1 while the subscription link stands",
        |s| one(f64::from(u8::from(s.hub.is_broker_up())))),
    counter("roomcast_broker_reconnects_total", &[], "times it was lost",
        |s| one(s.broker.status().reconnects as f64)),
    counter("roomcast_broker_refusals_total", &[], "commands that Redis has answered with a refusal; the log has the reasons",
        |s| one(s.broker.status().refusals as f64)),
    gauge("roomcast_broker_subscriptions", &[], "rooms that this node subscribes to",
        |s| one(s.hub.subscriptions() as f64)),
    gauge("roomcast_broker_lag_seconds", &[], "the last probe's way through the broker to the slowest core",
        |s| one(s.shards.iter().map(|shard| shard.probe_lag_us.get()).max().unwrap_or(0) as f64 / 1e6)),
    gauge("roomcast_broker_probe_age_seconds", &[], "how long ago the last probe was sent that came back to every core; a probe goes out every second",
        |s| one(s.health.probe_age().as_secs_f64())),
    histogram("roomcast_broker_latency_seconds", "the way of a message through the broker and back to a core of the same node: one probe a second",
        |s| s.histogram(|shard| &shard.probe_latency)),

    gauge("roomcast_cluster_nodes", &[], "nodes that this one knows of, itself among them; it hears of the others every five seconds",
        |s| one(s.share.nodes() as f64)),
    gauge("roomcast_cluster_connections", &[], "open conversations of all these nodes",
        |s| one(s.share.total() as f64)),
    gauge("roomcast_connections_share", &[], "this node's part of them, from 0 to 1",
        |s| one(s.share.share())),

    // How busy it is.
    gauge("roomcast_queue_length", &["queue"], "entries that wait: `broker_events` for the router, `core_inbox` for the fullest core, `broker_commands` for an answer of Redis",
        |s| by(s.queues(), |queue| queue.name, |queue| queue.length as u64)),
    gauge("roomcast_queue_limit", &["queue"], "how many may wait; 0 where the embedded broker has nothing to wait for",
        |s| by(s.queues(), |queue| queue.name, |queue| queue.limit as u64)),
    counter("roomcast_router_wait_seconds_total", &[], "time that the router waited for busy cores",
        |s| one(s.hub.waited_us() as f64 / 1e6)),
    counter("roomcast_thread_busy_seconds_total", &["thread"], "time that a thread's event loop was not idle: `main`, `cluster`, `core-0` …",
        Source::busy),

    // The node itself.
    gauge("roomcast_ready", &[], "1 while `/readyz` answers 200",
        |s| one(f64::from(u8::from(s.health.ready().is_ok())))),
    gauge("roomcast_draining", &[], "1 from the beginning of a drain",
        |s| one(f64::from(u8::from(s.health.drain_deadline_s().is_some())))),
    gauge("roomcast_drain_deadline_seconds", &[], "when clients that are still there are cut, in seconds since 1970; 0 while the node does not drain",
        |s| one(s.health.drain_deadline_s().unwrap_or(0.0))),
    gauge("roomcast_config_reload_success", &[], "1 where the last SIGHUP was taken, and at the start; 0 where the configuration was refused",
        |s| one(f64::from(u8::from(s.health.is_configured())))),
    counter("roomcast_keys_refresh_failures_total", &[], "fetches of `auth.jwks_url` that have failed",
        |s| one(s.authenticator.refresh().failures() as f64)),
    counter("roomcast_log_lines_suppressed_total", &[], "lines that were left out of the log for `log.lines_per_second`",
        |s| one(s.lines.left_out() as f64)),
    counter("roomcast_trace_spans_total", &["result"], "spans of traced publications: `sent` to the collector, `failed`, or `dropped` because too many waited",
        |s| named(s.spans.get())),
    gauge("roomcast_certificate_expiry_seconds", &["listener"], "when the first certificate of a listener (`public`, `admin`) expires, in seconds since 1970; 0 without TLS",
        Source::certificates),
    gauge("roomcast_build_info", &["version"], "always 1",
        |_| by([env!("CARGO_PKG_VERSION")], |version| version, |_| 1)),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_those_of_the_field() {
        let mut seen = BTreeSet::new();
        for Metric { name, kind, labels, help, .. } in METRICS {
            assert!(seen.insert(name), "{name} is there once");
            assert!(name.starts_with("roomcast_"), "{name}");
            let counts = name.ends_with("_total");
            assert_eq!(counts, *kind == Kind::Counter, "{name}: counters, and nothing else, end in _total");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name} says its unit");
            assert!(!help.is_empty() && !help.ends_with('.') && !help.contains(['\n', '\\', '|']), "{name}");
            for label in *labels {
                assert!(!matches!(*label, "room" | "user" | "connection" | "address"), "{name}{{{label}}}");
            }
        }
    }
}
