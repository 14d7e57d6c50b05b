//! Alerts: promtool takes them, each has a test in which it fires and one in which it stays quiet, and a section of the runbooks.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use xtask::project_root;

use crate::{RULES, document, files};

/// Alerts and their runbooks, as the rules have them.
fn alerts() -> BTreeMap<String, String> {
    let rules = document(RULES);
    let sections = rules.split("- alert: ").skip(1).map(|section| {
        let (name, rest) = section.split_once('\n').unwrap();
        let url = rest.split("runbook_url: ").nth(1).unwrap_or_else(|| panic!("{name} has a runbook"));
        (name.to_owned(), url.lines().next().unwrap().to_owned())
    });
    let alerts: BTreeMap<_, _> = sections.collect();
    assert!(!alerts.is_empty());
    alerts
}

#[track_caller]
fn promtool(arguments: &[&str], folder: &str) {
    let output = Command::new("promtool")
        .args(arguments)
        .current_dir(project_root().join(folder))
        .output()
        .expect("promtool starts; `cargo xtask test` installs it");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}:\n{}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_takes_configuration_and_rules() {
    promtool(&["check", "config", "--lint-fatal", "prometheus.yml"], "deploy/prometheus");
    promtool(&["check", "rules", "--lint-fatal", "roomcast.rules.yml"], "deploy/prometheus");
}

#[test]
fn alerts_fire_when_they_have_to_and_only_then() {
    let tests = files("deploy/prometheus/tests");
    let names: Vec<_> = tests.iter().map(|path| path.to_str().unwrap()).collect();
    promtool(&[&["test", "rules"], &names[..]].concat(), "deploy/prometheus");
}

#[test]
fn every_alert_has_a_test_that_it_fires_and_one_that_it_stays_quiet() {
    let texts: String =
        files("deploy/prometheus/tests").iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let (mut fires, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for test in texts.split("alertname: ").skip(1) {
        let mut lines = test.lines();
        let name = lines.next().unwrap().trim().to_owned();
        match lines.next().unwrap().trim() {
            "exp_alerts:" => fires.insert(name),
            "exp_alerts: []" => quiet.insert(name),
            other => panic!("what is {other:?}?"),
        };
    }
    let alerts: BTreeSet<_> = alerts().into_keys().collect();
    assert_eq!(fires, alerts);
    assert_eq!(quiet, alerts);
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let runbooks = document("docs/runbooks.md");
    let mut sections = BTreeSet::new();
    for section in runbooks.split("\n## ").skip(1) {
        let (name, text) = section.split_once('\n').unwrap();
        for part in ["**Means**", "**Look at**", "**Do**"] {
            assert!(text.contains(part), "{name} has {part}");
        }
        assert!(sections.insert(name.to_owned()), "{name} is there once");
    }
    let alerts = alerts();
    for (name, url) in &alerts {
        assert_eq!(*url, format!("docs/runbooks.md#{}", name.to_lowercase()), "{name}");
    }
    assert_eq!(sections, alerts.into_keys().collect());
}
