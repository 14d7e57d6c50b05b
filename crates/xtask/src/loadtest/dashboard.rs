//! The row of the load tests' dashboard that k6 fills: a real k6 writes to a real Prometheus, and each of its queries must
//! have data. What the other rows ask is asked by the tests of the workspace, which need no k6.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use xtask::process::{kill_with_descendants, scratch_folder};
use xtask::{Node, Prometheus, project_root};

use crate::helm;

const DASHBOARD: &str = "deploy/grafana/dashboards/loadtest.json";
/// The script that is run, for as long as queries need that look at some time, and with a few clients.
const SCRIPT: &str = "fanout";
const SIZES: [(&str, &str); 3] = [("SECONDS", "20"), ("MEMBERS", "30"), ("RATE", "5")];
/// Only bounds a run that hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// Runs k6 and asks for what it writes meanwhile.
pub(super) fn check(k6: &Path) -> Result<()> {
    let node = Node::start(helm::binary()?, &[])?;
    let prometheus = Prometheus::start(&[node.admin_port()])?;
    let summaries = scratch_folder("summaries")?;
    let mut run = Command::new(project_root().join("loadtest/run.sh"));
    run.arg(SCRIPT).env("K6", k6).env("SUMMARY_DIR", &*summaries).envs(SIZES);
    run.env("URL", format!("http://127.0.0.1:{}", node.port()));
    run.env("PROMETHEUS_URL", format!("http://127.0.0.1:{}", prometheus.port()));
    run.env("K6_PROMETHEUS_RW_PUSH_INTERVAL", "1s");
    // Latency is no matter here, where other programs may be busy.
    run.env("LATENCY_P95_MS", "10000").env("LATENCY_P99_MS", "10000").stdout(Stdio::null());
    let mut run = run.spawn().context("cannot start loadtest/run.sh")?;
    let asked = ask(&prometheus, &mut run);
    if asked.is_err() {
        kill_with_descendants(run.id());
    }
    let status = run.wait()?;
    asked?;
    ensure!(status.success(), "k6: {status}");
    Ok(())
}

fn ask(prometheus: &Prometheus, run: &mut Child) -> Result<()> {
    let dashboard: Value = serde_json::from_slice(&std::fs::read(project_root().join(DASHBOARD))?)?;
    let queries = queries(&dashboard)?;
    let mut waiting = queries.clone();
    let begin = Instant::now();
    while !waiting.is_empty() {
        let mut without = Vec::new();
        for query in waiting {
            if prometheus.data(&query)?.is_none() {
                without.push(query);
            }
        }
        waiting = without;
        if begin.elapsed() > LIMIT || (run.try_wait()?.is_some() && !waiting.is_empty()) {
            bail!("{DASHBOARD}: no data from k6 for\n{}\n{}", waiting.join("\n"), prometheus.output());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    for query in &queries {
        let renamed = query.replace("{scenario", "_renamed{scenario");
        ensure!(
            prometheus.data(&renamed)?.is_none(),
            "{renamed} has data, so that a new name is not noticed"
        );
    }
    let scenarios = prometheus.data("count by (scenario) (k6_delivered_total)")?;
    ensure!(scenarios.is_some_and(|each| each.len() == 1), "{SCRIPT} can be chosen, and nothing else");
    eprintln!("{} queries of {DASHBOARD} have data from k6", queries.len());
    Ok(())
}

/// What is asked of k6, as Grafana would when all is chosen.
fn queries(dashboard: &Value) -> Result<Vec<String>> {
    let panels = dashboard["panels"].as_array().context("the dashboard has no panels")?;
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array()).flatten();
    let expressions = targets.filter_map(|target| target["expr"].as_str());
    let expressions = expressions.filter(|expression| expression.contains("(k6_"));
    let queries: Vec<_> = expressions
        .map(|expression| expression.replace("$__rate_interval", "10s").replace("$scenario", ".*"))
        .collect();
    ensure!(!queries.is_empty(), "{DASHBOARD} asks nothing of k6");
    Ok(queries)
}
