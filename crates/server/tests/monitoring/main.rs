//! What operators watch: rules, alerts, runbooks and dashboards, checked by promtool and against a real Prometheus that scrapes live nodes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod dashboards;
mod live;

use std::collections::BTreeSet;
use std::path::PathBuf;

use xtask::project_root;

pub(crate) const RULES: &str = "deploy/prometheus/roomcast.rules.yml";

pub(crate) fn document(name: &str) -> String {
    std::fs::read_to_string(project_root().join(name)).unwrap()
}

/// Paths of the files of a folder, in order.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project_root().join(folder)).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are files in {folder}");
    paths
}

/// Metrics that a text names: ours, those of the process, what rules record, and what k6 writes.
pub(crate) fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | ':'));
    let starts = ["roomcast_", "process_", "roomcast:", "k6_"];
    let words = words.map(|word| word.trim_end_matches(':'));
    words.filter(|word| starts.iter().any(|start| word.starts_with(start))).map(str::to_owned).collect()
}
