//! `roomcast bench`: load on a server, and what it costs.

mod arguments;

use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use roomcast_bench::load::compare::Comparison;
use roomcast_bench::load::node::Server;
use roomcast_bench::load::process::Process;
use roomcast_bench::load::{
    self, Mode, Plan, PublishBy, Report, Servers, Transport, floor, html, text, worker,
};
use rustix::process::{Signal, set_parent_process_death_signal};

use self::arguments::Load;
use super::Settings;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: Load,
}

/// What `--help` says first.
pub(super) const ABOUT: &str = "Put load on a server, count every message, and measure what it costs.

Without --url it starts a node of its own on free ports of 127.0.0.1, measures that, and stops it. Clients connect, and then
numbered messages are published. In the end there is a table: what was lost, duplicated or out of order (all must be 0), how
long messages took from when they should have been sent, and the server's CPU time for each delivery and memory for
each connection. These two hold on a busy machine too; times do not.

Examples:
  roomcast bench                                             1000 WebSockets in one room, 100 messages a second
  roomcast bench --rooms 200 --rate 2000 --transport sse     many small rooms, over SSE
  roomcast bench --mode closed --window 32                   as fast as it goes
  roomcast bench --mode idle --connections 10000             memory
  roomcast bench --mode storm --connections 10000            how fast connections are made, and whether memory comes back
  roomcast bench --redis redis://127.0.0.1:6379              a node on Redis, and messages published there
  roomcast bench compare                                     against the cheapest server that can be
  roomcast bench --url http://127.0.0.1:8080 --pid 4711      a server that runs already";

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the yardstick alone: a bare loop of epoll and write(2) that sends ready bytes to everyone
    Floor(Box<Load>),
    /// Measure the yardstick and the server in turns, and print the ratios
    Compare {
        /// Runs of the server; there is one more of the floor
        #[arg(long, default_value_t = 5)]
        runs: usize,
        #[command(flatten)]
        load: Box<Load>,
    },
    /// Hold clients, as told on standard input
    #[command(hide = true)]
    Worker,
    /// Be the yardstick, until standard input ends
    #[command(hide = true)]
    FloorServer {
        /// Write messages of one room that came together at once
        #[arg(long)]
        merge: bool,
    },
    /// Be the node that is measured, and end with the process that measures it
    #[command(hide = true)]
    Node(Box<Settings>),
}

/// Whatever ends the load generator, its node must not stay behind.
pub(super) fn end_with_parent() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot tie this node to the load generator")
}

impl Arguments {
    /// The settings of the node that this process is to be, if it is.
    pub(super) fn node(&self) -> Option<Settings> {
        match &self.command {
            Some(Command::Node(settings)) => Some((**settings).clone()),
            _ => None,
        }
    }

    pub(super) fn run(self) -> Result<()> {
        match self.command {
            None => run_once(&self.load, Subject::Target),
            Some(Command::Floor(load)) => run_once(&load, Subject::Floor),
            Some(Command::Compare { runs, load }) => compare(&load, runs),
            Some(Command::Worker) => worker::run().context("a worker of the load generator failed"),
            Some(Command::Node(_)) => bail!("a node is started with `roomcast serve`"),
            Some(Command::FloorServer { merge }) => floor::serve(merge).context("the floor failed"),
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// What `--url` names, or nodes of our own.
    Target,
    Floor,
}

fn run_once(load: &Load, subject: Subject) -> Result<()> {
    let report = measure(load, subject, "")?;
    print!("{}", text::table(&report));
    write(load.json.as_deref(), || Ok(serde_json::to_string_pretty(&report)?))?;
    write(load.html.as_deref(), || Ok(html::report(&report)))?;
    if load.strict && !report.is_clean() {
        bail!(
            "not every message came to everybody once and in order, or somebody was turned away: see above"
        );
    }
    Ok(())
}

fn compare(load: &Load, runs: usize) -> Result<()> {
    if runs == 0 {
        bail!("--runs must be at least 1");
    }
    let mut comparison = Comparison::default();
    comparison.floors.push(measure(load, Subject::Floor, "floor: ")?);
    for run in 1..=runs {
        comparison.targets.push(measure(load, Subject::Target, &format!("target {run} of {runs}: "))?);
        comparison.floors.push(measure(load, Subject::Floor, "floor: ")?);
    }
    print!("{}", comparison.table());
    write(load.json.as_deref(), || Ok(serde_json::to_string_pretty(&comparison)?))?;
    write(load.html.as_deref(), || Ok(html::comparison(&comparison)))?;
    if load.strict && !comparison.is_clean() {
        bail!(
            "not every message came to everybody once and in order, or somebody was turned away: see --json"
        );
    }
    Ok(())
}

fn write(path: Option<&Path>, content: impl FnOnce() -> Result<String>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, content()?).with_context(|| format!("cannot write {}", path.display()))
}

/// One run against servers that live as long as it.
fn measure(load: &Load, subject: Subject, prefix: &str) -> Result<Report> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut plan = load.plan()?;
    let mut servers = Servers { processes: load.processes()? };
    let started = start(load, subject, &program, &mut plan)?;
    if !started.is_empty() {
        servers.processes.retain(|process| !process.is_server);
    }
    for (i, server) in started.iter().enumerate() {
        let name = if subject == Subject::Floor { "floor".to_owned() } else { format!("node {}", i + 1) };
        servers.processes.push(Process { name, pid: server.pid(), is_server: true });
        plan.targets.push(server.target());
    }
    let quiet = load.quiet;
    load::run(&program, &plan, &servers, &mut |line| {
        if !quiet {
            eprintln!("{prefix}{line}");
        }
    })
}

fn start(load: &Load, subject: Subject, program: &Path, plan: &mut Plan) -> Result<Vec<Server>> {
    if subject == Subject::Floor {
        if plan.transport == Transport::Poll || matches!(plan.mode, Mode::Storm { .. }) {
            bail!("the floor only sends: it knows neither long-poll nor connect storms");
        }
        plan.targets.clear();
        plan.publish = PublishBy::Floor;
        return Ok(vec![Server::floor(program, matches!(plan.mode, Mode::Closed { .. }))?]);
    }
    if !plan.targets.is_empty() {
        return Ok(Vec::new());
    }
    if load.nodes > 1 && load.redis.is_none() {
        bail!(
            "nodes reach each other through Redis: --nodes {} needs --redis redis://127.0.0.1:6379",
            load.nodes
        );
    }
    let settings = load.settings(plan);
    (0..load.nodes).map(|_| Server::node(program, load.redis.as_deref(), &settings)).collect()
}
