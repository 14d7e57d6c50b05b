//! `/api/status`: how this node is, in one answer, as an operator's page asks for it every second. Counters are those of
//! the metrics; whoever asks twice has rates.

use roomcast_hub::stats::Counter;
use serde_json::{Value, json};

use super::Api;
use crate::health::NotReady;

/// The answer.
pub(super) fn of(api: &Api) -> Value {
    let source = &*api.source;
    let ready = source.health.ready();
    json!({
        "id": api.node.to_string(),
        "name": api.name,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": source.health.uptime().as_secs_f64(),
        "ready": ready.is_ok(),
        "reason": ready.err().map(NotReady::explain),
        "draining": source.health.drain_deadline_s().is_some(),
        "drain_deadline_s": source.health.drain_deadline_s(),
        "connections": source.share.own(),
        "connections_limit": source.connections_max,
        "users": source.users.users(),
        "rooms": source.add(|shard| shard.rooms.get()),
        "room_members": source.add(|shard| shard.members.get()),
        "outbox_bytes": source.add(|shard| shard.outbox_bytes.get()),
        "messages_received": source.add(|shard| sum(&shard.received).wrapping_add(shard.received_http.get())),
        "messages_delivered": source.add(|shard| sum(&shard.delivered)),
        "slow_consumers": source.add(|shard| shard.slow_consumers.get()),
        "broker": broker(api),
    })
}

/// One core may have counted down what another counts up: added with wrap-around.
fn sum(counters: &[Counter]) -> u64 {
    counters.iter().fold(0, |sum, counter| sum.wrapping_add(counter.get()))
}

/// The link to the broker. The proof that it works is a probe that came round, not a connection that stands.
fn broker(api: &Api) -> Value {
    let source = &*api.source;
    let (link, status) = (source.health.link(), source.broker.status());
    let slowest_us = source.shards.iter().map(|shard| shard.probe_lag_us.get()).max().unwrap_or(0);
    // 0: none has come to every core yet.
    let has_come = source.shards.iter().all(|shard| shard.probe_sent_ms.get() > 0);
    json!({
        "redis": api.redis,
        "healthy": link.is_ok(),
        "reason": link.err().map(NotReady::explain),
        "up": source.hub.is_broker_up(),
        "probe_round_trip_s": has_come.then_some(slowest_us as f64 / 1e6),
        "probe_age_s": has_come.then(|| source.health.probe_age().as_secs_f64()),
        "reconnects": status.reconnects,
        "refusals": status.refusals,
        "commands": status.commands,
        "commands_max": status.commands_max,
        "subscriptions": source.hub.subscriptions(),
    })
}
