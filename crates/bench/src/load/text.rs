//! A report as text for a terminal.

use std::fmt::Write as _;

use super::latency::Summary;
use super::report::Report;

/// The table that `roomcast bench` prints.
pub fn table(report: &Report) -> String {
    let mut out = format!("\n{}\n\n", report.title);
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<22}{value}");
    };
    let counts = &report.counts;
    row(
        "connections",
        format!(
            "{} open, {} failed, {} ended by the server",
            report.open, counts.failed, counts.disconnected
        ),
    );
    row("connecting", format!("{:.2} s; {}", report.connect_seconds, times(&report.connect)));
    if report.accepted + report.refused + report.in_doubt > 0 {
        row(
            "published",
            format!(
                "{} accepted, {} refused, {} unanswered",
                report.accepted, report.refused, report.in_doubt
            ),
        );
        row(
            "delivered",
            format!(
                "{} in {:.1} s, {:.0}/s, {:.2} a read",
                counts.delivered, report.seconds, report.deliveries_per_second, report.messages_per_read
            ),
        );
        row(
            "faults",
            format!(
                "{} lost, {} duplicated, {} out of order, {} foreign, {} times told of a loss",
                counts.lost, counts.duplicated, counts.out_of_order, counts.foreign, counts.told
            ),
        );
        row("latency", times(&report.latency));
        row("of it sending late", times(&report.lag));
    }
    if report.processes.iter().any(|process| process.is_server) {
        row(
            "server CPU",
            format!(
                "{:.2} µs a delivery, {:.1} % of a core",
                report.server_cpu_us_per_delivery, report.server_cpu_percent
            ),
        );
        row("server memory", format!("{:.2} KiB a connection", report.server_kib_per_connection));
    }
    row("load generator CPU", format!("{:.2} µs a delivery", report.client_cpu_us_per_delivery));
    for process in &report.processes {
        row(
            &format!("{} ({})", process.name, process.pid),
            format!(
                "{:.2} s CPU, {:.2} µs a delivery; {} KiB before, {} connected, {} at the end",
                process.cpu_seconds,
                process.cpu_us_per_delivery,
                process.resident_before_kib,
                process.resident_connected_kib,
                process.resident_end_kib
            ),
        );
    }
    for (i, cycle) in report.cycles.iter().enumerate() {
        row(&format!("cycle {}", i + 1), cycle.describe());
    }
    for (why, count) in &report.failures {
        row("why connections ended", format!("{why}: {count} times"));
    }
    out
}

fn times(summary: &Summary) -> String {
    format!(
        "p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}",
        summary.p50_ms, summary.p90_ms, summary.p99_ms, summary.p999_ms, summary.max_ms
    )
}
