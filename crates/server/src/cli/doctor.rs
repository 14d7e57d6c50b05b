//! `roomcast doctor`: what usually goes wrong, each with its remedy.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Result;
use roomcast_broker_redis::{RedisConfig, ServerReport, inspect};
use rustix::process::{Resource, getrlimit};

use crate::config::Config;
use crate::descriptors;

/// The oldest Redis that has what is needed.
const REDIS_MAJOR_MIN: u32 = 7;

/// A round trip beyond this makes every message late.
const ROUND_TRIP_SLOW: Duration = Duration::from_millis(10);

enum Finding {
    Good(String),
    /// It works, and could be better.
    Warning(String),
    Bad(String),
}

use Finding::{Bad, Good, Warning};

/// Prints what was found; true if nothing is bad.
pub(super) async fn run(config: Config) -> Result<bool> {
    let mut findings = vec![
        descriptor_limit(),
        backlog(),
        port(config.listen, "server.listen"),
        port(config.admin_listen, "admin.listen"),
    ];
    match &config.redis {
        Some(redis) => findings.extend(redis_findings(redis).await),
        None => findings.push(Good("no broker.url: the broker is embedded, one node only".to_owned())),
    }
    let mut all_good = true;
    for finding in findings {
        match finding {
            Good(text) => println!("ok    {text}"),
            Warning(text) => println!("warn  {text}"),
            Bad(text) => {
                all_good = false;
                println!("FAIL  {text}");
            }
        }
    }
    Ok(all_good)
}

fn descriptor_limit() -> Finding {
    let hard = getrlimit(Resource::Nofile).maximum;
    let connections = descriptors::connections(hard);
    let text = match hard {
        Some(hard) => format!("descriptor limit {hard}: {connections} connections"),
        None => "no descriptor limit".to_owned(),
    };
    if connections < 10_000 {
        Warning(format!("{text}; raise it with `ulimit -n 1048576`"))
    } else {
        Good(text)
    }
}

/// Linux cuts every listener's queue to this.
fn backlog() -> Finding {
    let path = "/proc/sys/net/core/somaxconn";
    let Some(backlog) = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok())
    else {
        return Warning(format!("{path} cannot be read"));
    };
    if backlog < 1024 {
        return Warning(format!(
            "accept backlog {backlog}: reconnect storms need more, `sysctl net.core.somaxconn=4096`"
        ));
    }
    Good(format!("accept backlog {backlog}"))
}

fn port(address: SocketAddr, setting: &str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Good(format!("{setting} {address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Warning(format!("{setting} {address} is taken, by a running node or by another program"))
        }
        Err(error) => Bad(format!("{setting} {address}: {error}; choose an address of this machine")),
    }
}

async fn redis_findings(redis: &RedisConfig) -> Vec<Finding> {
    let address = redis.address();
    match inspect(redis).await {
        Ok(report) => report_findings(&address, &report),
        Err(error) => vec![Bad(format!("{error}; start Redis or correct broker.url"))],
    }
}

fn report_findings(address: &str, report: &ServerReport) -> Vec<Finding> {
    let round_trip = format!("Redis at {address} answers in {:?}", report.round_trip);
    let mut findings = vec![match report.round_trip > ROUND_TRIP_SLOW {
        true => Warning(format!("{round_trip}: every message takes that long; put Redis nearer")),
        false => Good(round_trip),
    }];
    findings.push(match report.major_version() {
        Some(major) if major >= REDIS_MAJOR_MIN => Good(format!("Redis version {}", report.version)),
        _ => Bad(format!(
            "Redis version {}: roomcast needs {REDIS_MAJOR_MIN}.0 or newer, or Valkey",
            report.version
        )),
    });
    if report.mode != "standalone" {
        findings.push(Bad(format!("Redis runs as {}; this version needs a standalone server", report.mode)));
    }
    if report.role != "master" {
        findings.push(Bad("Redis is a replica: point broker.url at its primary".to_owned()));
    }
    match &report.functions {
        Some(Ok(())) => findings.push(Good("Redis functions are allowed".to_owned())),
        Some(Err(error)) => findings
            .push(Warning(format!("Redis functions are not allowed ({error}); history will need them"))),
        None => {}
    }
    if let Some(policy) = &report.maxmemory_policy {
        findings.push(match &**policy {
            "noeviction" => Good("Redis keeps what it has (maxmemory-policy noeviction)".to_owned()),
            policy => Warning(format!("Redis may evict keys ({policy}); set maxmemory-policy noeviction")),
        });
    }
    if let Some(limit) = report.output_buffer_limit.as_deref().and_then(pubsub_limit) {
        findings.push(match limit.starts_with("0 ") {
            true => Warning(
                "Redis does not limit subscribers' buffers: a node that hangs makes it grow without bound"
                    .to_owned(),
            ),
            false => Good(format!("Redis cuts subscribers that lag behind (pubsub {limit})")),
        });
    }
    findings
}

/// The part about subscribers of `client-output-buffer-limit`.
fn pubsub_limit(setting: &str) -> Option<&str> {
    setting.split_once("pubsub ").map(|(_, limit)| limit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(report: &ServerReport) -> Vec<String> {
        let findings = report_findings("redis:6379", report).into_iter();
        findings.filter_map(|finding| if let Bad(text) = finding { Some(text) } else { None }).collect()
    }

    #[test]
    fn findings() {
        let good = ServerReport {
            version: "7.0.15".into(),
            mode: "standalone".into(),
            role: "master".into(),
            functions: Some(Ok(())),
            output_buffer_limit: Some("normal 0 0 0 slave 1 2 3 pubsub 33554432 8388608 60".into()),
            ..ServerReport::default()
        };
        assert!(bad(&good).is_empty());
        let old = ServerReport { version: "6.2.1".into(), role: "slave".into(), ..good };
        assert_eq!(bad(&old).len(), 2);
        assert_eq!(pubsub_limit("normal 0 0 0 pubsub 1 2 3"), Some("1 2 3"));
    }
}
