//! Leads the workers through a run, and adds up what they saw.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::crew::Crew;
use super::latency::Latency;
use super::plan::{Mode, Plan};
use super::process::{Process, Usage, usage};
use super::report::{Cycle, Moment, Report, Spent, summarise};
use super::stamp::{now_ns, ns};
use super::tally::Counts;
use super::words::{News, Order, Second};

/// Between the last connection and the first message: what connecting has cost is over by then.
const SETTLE: Duration = Duration::from_secs(1);
/// From the order to publish until the first message is due.
const LEAD: Duration = Duration::from_millis(100);
/// How long workers may say nothing at all.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a server gets to close what clients have closed.
const CLOSING: Duration = Duration::from_secs(3);

/// What is watched while a run goes on.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    /// Processes, the servers among them.
    pub processes: Vec<Process>,
}

impl Servers {
    fn usage(&self) -> Vec<Option<Usage>> {
        self.processes.iter().map(|process| usage(process.pid).ok()).collect()
    }

    /// Sums over those that count as the server.
    fn of_server(&self, all: &[Option<Usage>]) -> Usage {
        let servers = self.processes.iter().zip(all).filter(|(process, _)| process.is_server);
        servers.filter_map(|(_, usage)| *usage).fold(Usage::default(), |sum, usage| Usage {
            cpu_us: sum.cpu_us + usage.cpu_us,
            resident_kib: sum.resident_kib + usage.resident_kib,
        })
    }
}

/// Runs a plan with workers of `program`, and tells `progress` a line each second.
pub fn run(program: &Path, plan: &Plan, servers: &Servers, progress: &mut dyn FnMut(&str)) -> Result<Report> {
    if let Err(wrong) = plan.check() {
        bail!("{wrong}");
    }
    let before = servers.usage();
    let conductor = Conductor {
        crew: Crew::start(program, plan)?,
        plan,
        servers,
        progress,
        begin: Instant::now(),
        latency: Latency::default(),
        lag: Latency::default(),
        moments: Vec::new(),
        second: (Second::default(), 0, Latency::default()),
        cpu_us: servers.of_server(&before).cpu_us,
        failures: BTreeMap::new(),
        counts: Counts::default(),
    };
    match plan.mode {
        Mode::Storm { cycles } => conductor.storm(cycles, before),
        _ => conductor.publish(before),
    }
}

struct Conductor<'a> {
    crew: Crew,
    plan: &'a Plan,
    servers: &'a Servers,
    progress: &'a mut dyn FnMut(&str),
    begin: Instant,
    latency: Latency,
    lag: Latency,
    moments: Vec<Moment>,
    /// What workers told of the second under way, and how many did.
    second: (Second, usize, Latency),
    /// Of the server, when the last second was over.
    cpu_us: u64,
    failures: BTreeMap<String, u64>,
    counts: Counts,
}

/// What connecting came to.
struct Connected {
    open: usize,
    took: Duration,
    times: Latency,
}

impl Conductor<'_> {
    fn publish(mut self, before: Vec<Option<Usage>>) -> Result<Report> {
        let connected = self.connect()?;
        if connected.open == 0 {
            bail!("no connection came about: {}", self.why());
        }
        sleep(SETTLE);
        let at_begin = self.servers.usage();
        let clients_at_begin = self.client_cpu_us();
        let begin_ns = now_ns() + ns(LEAD);
        self.crew.tell(&Order::Publish { begin_ns, end_ns: begin_ns + ns(self.plan.duration) })?;
        let mut accepted = vec![0; self.plan.streams()];
        let (mut refused_sum, mut in_doubt_sum) = (0, 0);
        self.gather(|news| match news {
            News::Published { accepted: some, refused, in_doubt } => {
                some.iter().for_each(|(stream, count)| accepted[*stream] += count);
                refused_sum += refused;
                in_doubt_sum += in_doubt;
                true
            }
            _ => false,
        })?;
        self.crew.tell(&Order::Accepted(accepted.clone()))?;
        let (mut counts, mut failures) = (Counts::default(), BTreeMap::new());
        self.gather(|news| match news {
            News::Finished { counts: some, failures: why } => {
                counts.add(some);
                add_failures(&mut failures, why);
                true
            }
            _ => false,
        })?;
        add_failures(&mut self.failures, &failures);
        let spent = Spent {
            before,
            connected: at_begin.clone(),
            at_begin,
            at_end: self.servers.usage(),
            client_cpu_us: self.client_cpu_us().saturating_sub(clients_at_begin),
            elapsed: Duration::from_nanos(now_ns().saturating_sub(begin_ns)),
        };
        self.counts = counts;
        let mut report = self.report(&connected, &spent);
        report.accepted = accepted.iter().sum();
        (report.refused, report.in_doubt) = (refused_sum, in_doubt_sum);
        Ok(report)
    }

    fn storm(mut self, cycles: usize, before: Vec<Option<Usage>>) -> Result<Report> {
        let (mut all, mut last) = (Vec::new(), None);
        let clients_at_begin = self.client_cpu_us();
        for number in 1..=cycles {
            let cpu_before = self.servers.of_server(&self.servers.usage()).cpu_us;
            let connected = self.connect()?;
            sleep(SETTLE);
            let all_open = self.servers.usage();
            let open = self.servers.of_server(&all_open);
            self.crew.tell(&Order::Close)?;
            self.gather(|news| matches!(news, News::Closed))?;
            sleep(CLOSING);
            let closed = self.servers.of_server(&self.servers.usage());
            let cycle = Cycle {
                open: connected.open,
                seconds: connected.took.as_secs_f64(),
                times: connected.times.summary(),
                cpu_us_per_connection: open.cpu_us.saturating_sub(cpu_before) as f64
                    / connected.open.max(1) as f64,
                resident_open_kib: open.resident_kib,
                resident_closed_kib: closed.resident_kib,
            };
            (self.progress)(&format!("{number}: {}", cycle.describe()));
            all.push(cycle);
            last = Some((connected, all_open));
        }
        let Some((connected, all_open)) = last else { bail!("a storm of no cycles") };
        let at_end = self.servers.usage();
        let client_cpu_us = self.client_cpu_us().saturating_sub(clients_at_begin);
        let elapsed = self.begin.elapsed();
        let spent =
            Spent { at_begin: before.clone(), before, connected: all_open, at_end, client_cpu_us, elapsed };
        let mut report = self.report(&connected, &spent);
        report.cycles = all;
        Ok(report)
    }

    fn connect(&mut self) -> Result<Connected> {
        let begin = Instant::now();
        self.crew.tell(&Order::Connect)?;
        let (mut open_sum, mut all_times, mut all_failures) = (0, Latency::default(), BTreeMap::new());
        self.gather(|news| match news {
            News::Connected { open, times, failures } => {
                open_sum += open;
                all_times.add(times);
                add_failures(&mut all_failures, failures);
                true
            }
            _ => false,
        })?;
        add_failures(&mut self.failures, &all_failures);
        self.counts.failed += (self.plan.connections.saturating_sub(open_sum)) as u64;
        Ok(Connected { open: open_sum, took: begin.elapsed(), times: all_times })
    }

    /// Hears the workers until each has said what `is_last` takes for its answer.
    fn gather(&mut self, mut is_last: impl FnMut(&News) -> bool) -> Result<()> {
        let mut missing = self.plan.workers;
        let mut heard = Instant::now();
        while missing > 0 {
            let all = self.crew.hear(Duration::from_secs(1))?;
            if !all.is_empty() {
                heard = Instant::now();
            } else if heard.elapsed() > SILENCE_MAX {
                bail!("the workers say nothing for {SILENCE_MAX:?}");
            }
            for news in all {
                if is_last(&news) {
                    missing -= 1;
                } else if let News::Second(second) = news {
                    self.add_second(&second);
                }
            }
        }
        Ok(())
    }

    /// Adds a worker's second; with the last worker's it is whole.
    fn add_second(&mut self, second: &Second) {
        let (sum, told, latency) = &mut self.second;
        sum.open += second.open;
        sum.published += second.published;
        sum.delivered += second.delivered;
        latency.add(&second.latency);
        self.latency.add(&second.latency);
        self.lag.add(&second.lag);
        *told += 1;
        if *told < self.plan.workers {
            return;
        }
        let (sum, _, latency) = std::mem::take(&mut self.second);
        let usage = self.servers.of_server(&self.servers.usage());
        let cpu_us = usage.cpu_us.saturating_sub(std::mem::replace(&mut self.cpu_us, usage.cpu_us));
        let summary = latency.summary();
        let moment = Moment {
            at_seconds: self.begin.elapsed().as_secs_f64(),
            open: sum.open,
            published: sum.published,
            delivered: sum.delivered,
            p50_ms: summary.p50_ms,
            p99_ms: summary.p99_ms,
            cpu_us,
            resident_kib: usage.resident_kib,
        };
        (self.progress)(&moment.describe());
        self.moments.push(moment);
    }

    fn client_cpu_us(&self) -> u64 {
        self.crew.pids().filter_map(|pid| usage(pid).ok()).map(|usage| usage.cpu_us).sum()
    }

    fn why(&self) -> String {
        let why = self.failures.iter().map(|(why, count)| format!("{why} ({count} times)"));
        why.collect::<Vec<_>>().join(", ")
    }

    fn report(self, connected: &Connected, spent: &Spent) -> Report {
        let mut report = summarise(self.plan, &self.servers.processes, spent);
        report.open = connected.open;
        report.connect_seconds = connected.took.as_secs_f64();
        report.connect = connected.times.summary();
        report.count(self.counts, &self.latency);
        report.lag = self.lag.summary();
        report.moments = self.moments;
        report.failures = self.failures;
        report
    }
}

fn add_failures(sum: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>) {
    for (why, count) in more {
        *sum.entry(why.clone()).or_default() += count;
    }
}
