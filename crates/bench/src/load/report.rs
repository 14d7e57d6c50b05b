//! What a run came to: what `--json` writes, and what tables and charts are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::latency::{Latency, Summary};
use super::plan::Plan;
use super::process::{Process, Usage};
use super::tally::Counts;

/// Percentiles of the latency chart.
const PERCENTILES: [f64; 12] = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 100.0];

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was done, in a line.
    pub title: String,
    /// As on the command line.
    pub transport: String,
    /// Clients asked for.
    pub connections: usize,
    /// Rooms.
    pub rooms: usize,
    /// Size of each payload.
    pub payload_bytes: usize,
    /// Clients that became members.
    pub open: usize,
    /// From the first connection to the last member.
    pub connect_seconds: f64,
    /// From the begin of a connection until it was a member.
    pub connect: Summary,
    /// Messages that the server took.
    pub accepted: u64,
    /// Messages that the server refused.
    pub refused: u64,
    /// Messages without an answer: where there are such, `counts.lost` may be too small by those of them that arrived.
    pub in_doubt: u64,
    /// What came, and what did not.
    pub counts: Counts,
    /// From the first message until the last had come.
    pub seconds: f64,
    /// Messages delivered each second.
    pub deliveries_per_second: f64,
    /// How many messages came with one read of a client; above 1, they had piled up.
    pub messages_per_read: f64,
    /// From when a message should have been sent until it came.
    pub latency: Summary,
    /// Percent, and how long so many took at most, in ms.
    pub percentiles: Vec<(f64, f64)>,
    /// From when a message should have been sent until it was: the load generator's own delay, part of `latency`.
    pub lag: Summary,
    /// CPU time of the servers for each delivery; 0 if they are not watched.
    pub server_cpu_us_per_delivery: f64,
    /// CPU time of the servers, in percent of a core.
    pub server_cpu_percent: f64,
    /// Resident memory of the servers for each connection, over what they had before.
    pub server_kib_per_connection: f64,
    /// CPU time of the load generator for each delivery.
    pub client_cpu_us_per_delivery: f64,
    /// Each process.
    pub processes: Vec<ProcessReport>,
    /// Each second.
    pub moments: Vec<Moment>,
    /// Each time that all came and went, in a storm.
    pub cycles: Vec<Cycle>,
    /// Why connections ended or came to nothing, and how often.
    pub failures: BTreeMap<String, u64>,
}

/// One process over a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessReport {
    /// What it is called.
    pub name: String,
    /// Its id.
    pub pid: u32,
    /// Whether it counts as the server.
    pub is_server: bool,
    /// CPU time while messages were published.
    pub cpu_seconds: f64,
    /// The same for each delivery.
    pub cpu_us_per_delivery: f64,
    /// Resident memory before anybody connected.
    pub resident_before_kib: u64,
    /// When all had connected.
    pub resident_connected_kib: u64,
    /// At the end.
    pub resident_end_kib: u64,
}

/// One second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// After the begin of the run.
    pub at_seconds: f64,
    /// Members.
    pub open: usize,
    /// Messages published.
    pub published: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Of the latency.
    pub p50_ms: f64,
    /// Of the latency.
    pub p99_ms: f64,
    /// CPU time of the servers.
    pub cpu_us: u64,
    /// Resident memory of the servers.
    pub resident_kib: u64,
}

impl Moment {
    /// The progress line.
    pub fn describe(&self) -> String {
        format!(
            "{:5.0} s  {} open  {} published  {} delivered  p50 {:.2} ms  p99 {:.2} ms  server {:.0} % CPU, {} MiB",
            self.at_seconds,
            self.open,
            self.published,
            self.delivered,
            self.p50_ms,
            self.p99_ms,
            self.cpu_us as f64 / 1e4,
            self.resident_kib / 1024
        )
    }
}

/// One time that all came and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cycle {
    /// Members in the end.
    pub open: usize,
    /// From the first connection to the last member.
    pub seconds: f64,
    /// From the begin of a connection until it was a member.
    pub times: Summary,
    /// CPU time of the servers.
    pub cpu_us_per_connection: f64,
    /// Memory of the servers with all connected.
    pub resident_open_kib: u64,
    /// Memory of the servers when all had left.
    pub resident_closed_kib: u64,
}

impl Cycle {
    /// In a line.
    pub fn describe(&self) -> String {
        format!(
            "{} connections in {:.2} s: {:.0}/s, p99 {:.1} ms, {:.0} µs CPU each; server {} KiB open, {} KiB closed",
            self.open,
            self.seconds,
            self.open as f64 / self.seconds,
            self.times.p99_ms,
            self.cpu_us_per_connection,
            self.resident_open_kib,
            self.resident_closed_kib
        )
    }
}

/// What processes had used when.
#[derive(Debug, Clone, Default)]
pub struct Spent {
    /// Before anybody connected.
    pub before: Vec<Option<Usage>>,
    /// When all had connected.
    pub connected: Vec<Option<Usage>>,
    /// When the first message was published.
    pub at_begin: Vec<Option<Usage>>,
    /// When the last message had come.
    pub at_end: Vec<Option<Usage>>,
    /// Of the load generator in between.
    pub client_cpu_us: u64,
    /// How long that was.
    pub elapsed: Duration,
}

/// What the processes used; counts and latencies are still to come.
pub(super) fn summarise(plan: &Plan, processes: &[Process], spent: &Spent) -> Report {
    let processes: Vec<_> = processes
        .iter()
        .enumerate()
        .map(|(i, process)| {
            let at = |all: &[Option<Usage>]| all.get(i).copied().flatten().unwrap_or_default();
            let (before, connected) = (at(&spent.before), at(&spent.connected));
            let (begin, end) = (at(&spent.at_begin), at(&spent.at_end));
            ProcessReport {
                name: process.name.clone(),
                pid: process.pid,
                is_server: process.is_server,
                cpu_seconds: end.cpu_us.saturating_sub(begin.cpu_us) as f64 / 1e6,
                cpu_us_per_delivery: 0.0,
                resident_before_kib: before.resident_kib,
                resident_connected_kib: connected.resident_kib,
                resident_end_kib: end.resident_kib,
            }
        })
        .collect();
    Report {
        title: format!(
            "{} × {} in {} rooms, {}, {} bytes, published by {}",
            plan.connections,
            plan.transport.as_str(),
            plan.rooms,
            plan.mode.describe(),
            plan.payload_bytes,
            plan.publish.as_str()
        ),
        transport: plan.transport.as_str().to_owned(),
        connections: plan.connections,
        rooms: plan.rooms,
        payload_bytes: plan.payload_bytes,
        seconds: spent.elapsed.as_secs_f64(),
        // For the moment: the sum. `count` divides it.
        client_cpu_us_per_delivery: spent.client_cpu_us as f64,
        processes,
        ..Report::default()
    }
}

impl Report {
    /// Adds what came, and divides by it.
    pub(super) fn count(&mut self, counts: Counts, latency: &Latency) {
        self.counts = counts;
        let deliveries = self.counts.came() as f64;
        let per_delivery = |us: f64| if deliveries > 0.0 { us / deliveries } else { 0.0 };
        self.latency = latency.summary();
        self.percentiles = latency.percentiles(&PERCENTILES);
        self.messages_per_read = deliveries / self.counts.reads.max(1) as f64;
        self.deliveries_per_second = deliveries / self.seconds;
        self.client_cpu_us_per_delivery = per_delivery(self.client_cpu_us_per_delivery);
        for process in &mut self.processes {
            process.cpu_us_per_delivery = per_delivery(process.cpu_seconds * 1e6);
        }
        let servers: Vec<_> = self.processes.iter().filter(|process| process.is_server).collect();
        let cpu: f64 = servers.iter().map(|process| process.cpu_seconds).sum();
        let grown = |process: &&ProcessReport| {
            process.resident_connected_kib as f64 - process.resident_before_kib as f64
        };
        let kib: f64 = servers.iter().map(grown).sum();
        self.server_cpu_us_per_delivery = per_delivery(cpu * 1e6);
        self.server_cpu_percent = cpu / self.seconds * 100.0;
        self.server_kib_per_connection = kib / self.open.max(1) as f64;
    }

    /// Whether every message came to everybody once and in order, and nobody was turned away.
    pub fn is_clean(&self) -> bool {
        let counts = &self.counts;
        let faults = [
            counts.lost,
            counts.duplicated,
            counts.out_of_order,
            counts.foreign,
            counts.told,
            counts.disconnected,
            counts.failed,
            self.refused,
            self.in_doubt,
        ];
        faults.iter().sum::<u64>() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::*;

    #[test]
    fn sums_and_shares() {
        let process = |name: &str, is_server| Process { name: name.to_owned(), pid: 1, is_server };
        let usage = |cpu_us, resident_kib| Some(Usage { cpu_us, resident_kib });
        let spent = Spent {
            before: vec![usage(0, 1000), usage(0, 500), None],
            connected: vec![usage(900_000, 1400), usage(0, 500), None],
            at_begin: vec![usage(1_000_000, 1450), usage(0, 500), None],
            at_end: vec![usage(3_000_000, 1500), usage(500_000, 600), None],
            client_cpu_us: 800_000,
            elapsed: Duration::from_secs(4),
        };
        let processes = [process("node", true), process("redis", false), process("gone", true)];
        let mut report = summarise(&plan(), &processes, &spent);
        report.open = 100;
        report
            .count(Counts { delivered: 99_000, duplicated: 1000, ..Counts::default() }, &Latency::default());
        assert_eq!(report.server_cpu_us_per_delivery, 20.0);
        assert_eq!(report.client_cpu_us_per_delivery, 8.0);
        assert_eq!(report.server_cpu_percent, 50.0);
        assert_eq!(report.server_kib_per_connection, (400.0 + 0.0) / 100.0);
        assert_eq!(report.processes[1].cpu_us_per_delivery, 5.0);
        assert_eq!(report.deliveries_per_second, 25_000.0);
        assert!(!report.is_clean(), "duplicates");
        report.counts.duplicated = 0;
        assert!(report.is_clean());
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
