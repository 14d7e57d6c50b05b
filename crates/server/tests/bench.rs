//! The load generator: what it counts is exact, on every transport, by every way to publish.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::process::{Command, Output, Stdio};

use roomcast_bench::load::Report;
use roomcast_bench::load::compare::Comparison;
use xtask::process::scratch_folder;
use xtask::{Node, Redis, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

fn command(arguments: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("bench").args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

fn run(arguments: &str) -> (Output, String) {
    let folder = scratch_folder("bench").unwrap();
    let json = folder.join("report.json");
    let output = command(arguments).arg("--json").arg(&json).output().unwrap();
    let report = std::fs::read_to_string(json).unwrap_or_default();
    (output, report)
}

/// Runs to the end; 12 clients in 3 rooms get each of the messages once and in order.
#[track_caller]
fn check(arguments: &str) -> Report {
    let (output, json) = run(&format!("--connections 12 --rooms 3 --strict {arguments}"));
    let error = String::from_utf8_lossy(&output.stderr);
    let table = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{error}\n{table}");
    let report: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(report.open, 12, "{table}");
    assert_eq!(report.counts.delivered, report.accepted * 4, "{table}");
    assert_eq!(report.latency.count, report.counts.delivered, "{table}");
    assert!(report.is_clean(), "{table}");
    assert_eq!(table.contains("0 lost, 0 duplicated, 0 out of order"), report.accepted > 0, "{table}");
    report
}

const SHORT: &str = "--rate 90 --duration 1s";

#[test]
fn every_transport() {
    for transport in ["ws", "ws-json", "sse", "poll"] {
        let report = check(&format!("{SHORT} --transport {transport}"));
        assert_eq!(report.accepted, 90, "as many as the schedule has");
        assert_eq!(report.transport, transport);
        assert!(!report.moments.is_empty() && report.percentiles.is_sorted_by(|a, b| a.1 <= b.1));
    }
}

#[test]
fn every_way_to_publish_and_several_processes() {
    let redis = Redis::start().unwrap();
    check(&format!("{SHORT} --publish-by http"));
    let redis_url = redis.url();
    check(&format!("{SHORT} --redis {redis_url} --nodes 2 --workers 2 --publishers 5"));
    check(&format!("{SHORT} --redis {redis_url} --publish-by fcall --transport sse"));
    check(&format!("{SHORT} --redis {redis_url} --publish-by fcall --transport poll"));
}

#[test]
fn every_mode() {
    let closed = check("--mode closed --window 4 --duration 1s");
    assert!(closed.accepted >= 12, "each room has its window filled once: {}", closed.accepted);
    assert!(closed.server_cpu_us_per_delivery > 0.0 && closed.client_cpu_us_per_delivery > 0.0, "{closed:?}");
    let ramp = check("--mode ramp --rate 10 --rate-to 170 --duration 1s");
    assert_eq!(ramp.accepted, 90, "the mean of both rates");
    let idle = check("--mode idle --duration 1s");
    assert_eq!((idle.accepted, idle.counts.reads), (0, 0));
    assert!(idle.processes[0].resident_connected_kib > 0);
    let storm = check("--mode storm --cycles 2");
    assert_eq!(storm.cycles.iter().map(|cycle| cycle.open).collect::<Vec<_>>(), [12, 12]);
}

#[test]
fn clients_that_come_and_go() {
    let (output, json) = run("--connections 12 --rooms 3 --rate 90 --duration 2s --churn 20 --strict");
    let report: Report = serde_json::from_str(&json).unwrap();
    assert!(output.status.success(), "nobody who stays misses anything: {report:?}");
    let stay = report.accepted / 3 * 4 / 2 * 3;
    assert!((stay..=report.accepted * 4).contains(&report.counts.delivered), "{report:?}");
}

#[test]
fn the_floor_and_the_comparison_with_it() {
    for transport in ["ws", "ws-json", "sse"] {
        let (output, json) =
            run(&format!("floor --connections 12 --rooms 3 {SHORT} --transport {transport} --strict"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Report = serde_json::from_str(&json).unwrap();
        assert_eq!((report.accepted, report.counts.delivered), (90, 360));
    }
    let (output, json) = run("floor --connections 4 --mode closed --duration 1s --strict");
    let closed: Report = serde_json::from_str(&json).unwrap();
    assert!(output.status.success() && closed.accepted >= 32, "{closed:?}");
    let (output, json) = run(&format!("compare --runs 1 --connections 12 --rooms 3 {SHORT} --strict"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let comparison: Comparison = serde_json::from_str(&json).unwrap();
    assert_eq!((comparison.floors.len(), comparison.targets.len()), (2, 1));
    let speed = comparison.figures().into_iter().find(|figure| figure.name == "deliveries a second").unwrap();
    assert_eq!(speed.ratios.len(), 1);
    assert!(String::from_utf8_lossy(&output.stdout).contains("CPU a delivery"));
}

#[test]
fn a_page_with_charts() {
    let folder = scratch_folder("bench").unwrap();
    let page = folder.join("report.html");
    let output = command("--connections 4 --rate 20 --duration 1s --html").arg(&page).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("20 accepted"), "{page}");
}

/// Clients that a full node turns away are told apart from messages that are lost.
#[test]
fn who_is_turned_away_is_counted() {
    let (output, json) = run("--connections 12 --rate 20 --duration 1s --set limits.connections=10 --strict");
    assert_eq!(output.status.code(), Some(1), "--strict fails");
    let report: Report = serde_json::from_str(&json).unwrap();
    assert!(report.open < 12 && report.counts.failed == 12 - report.open as u64, "{report:?}");
    assert_eq!(report.counts.delivered, report.accepted * report.open as u64, "{report:?}");
    assert_eq!(report.counts.lost, 0);
    assert!(report.failures.keys().any(|why| why.contains("503")), "{:?}", report.failures);
}

/// Messages go on through Redis, and the node that should deliver them is gone.
#[test]
fn what_a_dead_node_loses_is_counted() {
    let redis = Redis::start().unwrap();
    let mut node = Node::start(BINARY, &["--redis", &redis.url()]).unwrap();
    let folder = scratch_folder("bench").unwrap();
    let (json, log) = (folder.join("report.json"), folder.join("progress"));
    let target =
        format!("--url http://127.0.0.1:{} --redis {} --pid {}", node.port(), redis.url(), node.pid());
    let mut bench = command(&format!("{target} --connections 12 --rooms 3 --rate 90 --duration 8s --strict"))
        .arg("--json")
        .arg(&json)
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let progress = || std::fs::read_to_string(&log).unwrap();
    wait_until("messages are delivered", || {
        progress().lines().any(|line| line.contains(" delivered") && !line.contains("  0 delivered"))
    });
    node.kill();
    assert_eq!(bench.wait().unwrap().code(), Some(1), "--strict fails: {}", progress());
    let report: Report = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    assert_eq!((report.accepted, report.refused, report.in_doubt), (720, 0, 0), "Redis took all of them");
    assert_eq!(report.counts.disconnected, 12);
    assert!(report.counts.lost > 0 && report.counts.delivered > 0);
    assert_eq!(report.counts.delivered + report.counts.lost, 720 * 4, "nothing is forgotten");
    assert_eq!((report.counts.duplicated, report.counts.out_of_order), (0, 0));
}

/// Not even a crash of the load generator leaves a process behind.
#[test]
fn nothing_stays_behind() {
    let mut bench = command("--connections 4 --duration 60s --quiet").stderr(Stdio::null()).spawn().unwrap();
    let children = format!("/proc/{0}/task/{0}/children", bench.id());
    let mut pids = Vec::new();
    wait_until("a node and a worker run", || {
        let text = std::fs::read_to_string(&children).unwrap();
        pids = text.split_whitespace().map(str::to_owned).collect();
        pids.len() == 2
    });
    bench.kill().unwrap();
    bench.wait().unwrap();
    for pid in pids {
        // One that nobody has waited for yet is a zombie, state Z.
        let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        wait_until("it has ended", || stat().rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z')));
    }
}

#[test]
fn what_cannot_be_is_refused_with_a_sentence() {
    let cases = [
        ("--rooms 2000", "--rooms must be between 1 and the 1000 connections"),
        ("--size 10", "--size must be at least"),
        ("--duration soon", "--duration must be a time with its unit"),
        ("--nodes 2", "needs --redis"),
        ("--publish-by redis", "say which: --redis"),
        ("--transport poll --publish-by redis --redis redis://127.0.0.1:1", "fcall, ws or http"),
        ("floor --transport poll", "neither long-poll"),
        ("--url http://127.0.0.1:1 --connections 2", "publisher"),
        ("compare --runs 0", "--runs must be at least 1"),
    ];
    for (arguments, expected) in cases {
        let (output, _) = run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments}: {error}");
        assert!(error.contains(expected), "{arguments}: {error}");
    }
    let help = command("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for word in ["Examples", "--connections", "compare", "floor", "--strict"] {
        assert!(help.contains(word), "{word} is missing in {help}");
    }
    assert!(!help.contains("floor-server") && !help.contains("  worker"), "{help}");
}
