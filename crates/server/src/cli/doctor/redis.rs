//! Redis: whether it is there, what it can do, and how it is set.

use std::time::Duration;

use roomcast_broker_redis::{RedisConfig, ServerReport, inspect};

use super::finding::{Finding, bad, good, warning};
use crate::config::Config;

/// The oldest Redis that has what is needed.
const REDIS_MAJOR_MIN: u32 = 7;

/// A round trip beyond this makes every message late.
const ROUND_TRIP_SLOW: Duration = Duration::from_millis(10);

/// Clocks that are further apart make measured latencies wrong by as much.
const SKEW_MAX: Duration = Duration::from_secs(1);

/// A subscriber that is cut at fewer bytes is cut by an ordinary burst.
const SUBSCRIBER_BYTES_MIN: u64 = 8 << 20;

/// What the configuration asks of Redis beyond passing messages on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Some rooms keep messages.
    pub(super) history: bool,
}

impl Needs {
    pub(super) fn of(config: &Config) -> Self {
        let table = config.session.namespaces.retention();
        let kept = table.namespaces.iter().any(|(_, retention)| retention.is_some());
        Self { history: kept || table.default.is_some() }
    }
}

pub(super) async fn findings(redis: &RedisConfig, needs: Needs) -> Vec<Finding> {
    let address = redis.address();
    match inspect(redis).await {
        Ok(report) => of_report(&address, &report, needs),
        Err(error) => vec![bad("redis", error, "start Redis or correct broker.url")],
    }
}

fn of_report(address: &str, report: &ServerReport, needs: Needs) -> Vec<Finding> {
    let mut findings = vec![round_trip(address, report.round_trip), version(report)];
    if report.mode != "standalone" {
        let text = format!("Redis runs as {}", report.mode);
        findings.push(bad("redis.mode", text, "this version needs a standalone server"));
    }
    if report.role != "master" {
        findings.push(bad("redis.role", "Redis is a replica", "point broker.url at its primary"));
    }
    findings.extend(report.functions.as_ref().map(|listed| functions(listed, report, needs)));
    findings.extend(report.clock_skew.map(clock));
    findings.extend(report.maxmemory_policy.as_deref().map(|policy| eviction(policy, needs)));
    findings.extend(report.output_buffer_limit.as_deref().and_then(pubsub_limit).map(output_buffer));
    if let (true, Some(appendonly)) = (needs.history, report.appendonly.as_deref()) {
        findings.push(persistence(appendonly, report.appendfsync.as_deref().unwrap_or_default()));
    }
    findings
}

fn round_trip(address: &str, round_trip: Duration) -> Finding {
    let text = format!("Redis at {address} answers in {round_trip:?}");
    match round_trip > ROUND_TRIP_SLOW {
        true => warning("redis", text, "every message takes that long; put Redis nearer"),
        false => good("redis", text),
    }
}

fn version(report: &ServerReport) -> Finding {
    let text = format!("Redis version {}", report.version);
    match report.major_version() {
        Some(major) if major >= REDIS_MAJOR_MIN => good("redis.version", text),
        _ => {
            let remedy = format!("install Redis {REDIS_MAJOR_MIN}.0 or newer, or Valkey");
            bad("redis.version", text, remedy)
        }
    }
}

fn functions(listed: &Result<Vec<String>, String>, report: &ServerReport, needs: Needs) -> Finding {
    let check = "redis.functions";
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => {
            let text = format!("Redis functions are not allowed ({error})");
            let remedy =
                "give the user the rights that docs/backends.md lists: history and presence need them";
            return if needs.history { bad(check, text, remedy) } else { warning(check, text, remedy) };
        }
    };
    let missing: Vec<_> = report.libraries.iter().filter(|name| !listed.contains(name)).cloned().collect();
    if missing.is_empty() {
        return good(check, "Redis functions are allowed, and loaded");
    }
    let text = format!("Redis functions are allowed; {} not loaded", missing.join(", "));
    warning(check, text, "a node loads them when it starts: start one, or restart it if one runs")
}

fn clock(skew: Duration) -> Finding {
    let text = format!("the clocks of Redis and of this machine are {skew:.0?} apart");
    match skew > SKEW_MAX {
        true => warning("redis.clock", text, "run NTP on both: latencies are measured by these clocks"),
        false => good("redis.clock", text),
    }
}

fn eviction(policy: &str, needs: Needs) -> Finding {
    let check = "redis.eviction";
    if policy == "noeviction" {
        return good(check, "Redis keeps what it has (maxmemory-policy noeviction)");
    }
    let text = format!("Redis may evict keys ({policy}), and with them histories and who is present");
    let remedy = "set maxmemory-policy noeviction";
    if needs.history { bad(check, text, remedy) } else { warning(check, text, remedy) }
}

/// The part about subscribers of `client-output-buffer-limit`.
fn pubsub_limit(setting: &str) -> Option<&str> {
    setting.split_once("pubsub ").map(|(_, limit)| limit.trim())
}

fn output_buffer(limit: &str) -> Finding {
    let check = "redis.output_buffer";
    let hard = limit.split(' ').next().and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0);
    let remedy = "set client-output-buffer-limit \"pubsub 32mb 8mb 60\"";
    match hard {
        0 => {
            let text =
                "Redis does not limit subscribers' buffers: a node that hangs makes it grow without bound";
            warning(check, text, remedy)
        }
        1..SUBSCRIBER_BYTES_MIN => {
            let text = format!("Redis cuts subscribers that lag {hard} bytes behind: a burst cuts the nodes");
            warning(check, text, remedy)
        }
        _ => good(check, format!("Redis cuts subscribers that lag behind (pubsub {limit})")),
    }
}

fn persistence(appendonly: &str, appendfsync: &str) -> Finding {
    let check = "redis.persistence";
    let remedy = "set appendonly yes and appendfsync everysec, or always, unless clients may be told of gaps";
    match (appendonly, appendfsync) {
        ("yes", "always") => good(check, "Redis keeps every message that it has taken (appendfsync always)"),
        ("yes", "everysec") => {
            good(check, "Redis keeps messages; a crash may cost the last second (appendfsync everysec)")
        }
        ("yes", other) => warning(
            check,
            format!("a crash of Redis may cost half a minute of messages (appendfsync {other})"),
            remedy,
        ),
        _ => warning(check, "a crash of Redis costs the history of rooms (appendonly no)", remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade::{self, Fail, Ok as Good, Warn};
    use super::*;

    fn healthy() -> ServerReport {
        ServerReport {
            version: "7.0.15".into(),
            mode: "standalone".into(),
            role: "master".into(),
            functions: Some(Ok(vec!["a".into(), "b".into()])),
            libraries: vec!["a".into()],
            output_buffer_limit: Some("normal 0 0 0 slave 1 2 3 pubsub 33554432 8388608 60".into()),
            maxmemory_policy: Some("noeviction".into()),
            clock_skew: Some(Duration::from_millis(3)),
            appendonly: Some("yes".into()),
            appendfsync: Some("everysec".into()),
            ..ServerReport::default()
        }
    }

    /// What one check says of a healthy server of which this is different.
    fn grade(check: &str, needs: Needs, change: impl Fn(&mut ServerReport)) -> Option<Grade> {
        let mut report = healthy();
        change(&mut report);
        let found = of_report("redis:6379", &report, needs);
        found.into_iter().find(|finding| finding.check == check).map(|finding| finding.grade)
    }

    #[test]
    fn everything_in_both_directions() {
        let (keeps, plain) = (Needs { history: true }, Needs::default());
        assert!(of_report("r", &healthy(), keeps).iter().all(|finding| finding.grade == Good));
        assert_eq!(grade("redis.version", plain, |r| r.version = "6.2.1".into()), Some(Fail));
        assert_eq!(grade("redis.role", plain, |r| r.role = "slave".into()), Some(Fail));
        assert_eq!(grade("redis.mode", plain, |r| r.mode = "cluster".into()), Some(Fail));
        assert_eq!(grade("redis", plain, |r| r.round_trip = Duration::from_millis(50)), Some(Warn));
        assert_eq!(grade("redis.clock", plain, |r| r.clock_skew = Some(Duration::from_secs(9))), Some(Warn));
        assert_eq!(grade("redis.functions", plain, |r| r.libraries.push("c".into())), Some(Warn));
        for (needs, expected) in [(keeps, Fail), (plain, Warn)] {
            assert_eq!(
                grade("redis.functions", needs, |r| r.functions = Some(Err("no".into()))),
                Some(expected)
            );
            let evict = |r: &mut ServerReport| r.maxmemory_policy = Some("allkeys-lru".into());
            assert_eq!(grade("redis.eviction", needs, evict), Some(expected));
        }
        for (limit, expected) in [("0 0 0", Warn), ("1048576 0 0", Warn), ("33554432 8388608 60", Good)] {
            let set =
                |r: &mut ServerReport| r.output_buffer_limit = Some(format!("normal 0 0 0 pubsub {limit}"));
            assert_eq!(grade("redis.output_buffer", plain, set), Some(expected), "{limit}");
        }
        for (aof, fsync, expected) in [
            ("yes", "always", Good),
            ("yes", "everysec", Good),
            ("yes", "no", Warn),
            ("no", "everysec", Warn),
        ] {
            let set =
                |r: &mut ServerReport| (r.appendonly, r.appendfsync) = (Some(aof.into()), Some(fsync.into()));
            assert_eq!(grade("redis.persistence", keeps, set), Some(expected), "{aof} {fsync}");
            assert_eq!(grade("redis.persistence", plain, set), None, "nothing is kept");
        }
    }
}
