//! Dashboards, as far as they can be checked without data: that people find their way in them, and that panels do not hide each other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{document, files, metrics_in};

pub(crate) const FOLDER: &str = "deploy/grafana/dashboards";

/// A query of a panel.
pub(crate) struct Query {
    pub(crate) file: String,
    pub(crate) place: String,
    pub(crate) expression: String,
}

impl Query {
    /// For a metric that another file names.
    pub(crate) fn named_in(file: &str, metric: String) -> Self {
        Self { file: file.to_owned(), place: file.to_owned(), expression: metric }
    }

    /// Whether k6 writes what it asks for, and not a node.
    pub(crate) fn is_about_k6(&self) -> bool {
        self.expression.contains("(k6_")
    }
}

/// The dashboards, by their files' names.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).unwrap();
        (name, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    files(FOLDER).iter().map(read).collect()
}

pub(crate) fn array<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("{name} is missing in {value}"))
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    array(dashboard, "panels").iter().filter(|panel| panel["type"] != "row")
}

/// Queries of all panels of all dashboards.
pub(crate) fn queries() -> Vec<Query> {
    let mut queries = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in array(panel, "targets") {
                let expression = target["expr"].as_str().unwrap().to_owned();
                let place = format!("{file}, {}, {}", panel["title"], target["refId"]);
                queries.push(Query { file: file.clone(), place, expression });
            }
        }
    }
    queries
}

#[test]
fn panels_say_what_they_show_and_lie_side_by_side() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        for field in ["uid", "title", "description"] {
            assert!(dashboard[field].as_str().is_some_and(|text| !text.is_empty()), "{file} has a {field}");
        }
        assert!(uids.insert(dashboard["uid"].to_string()), "{file} has a uid of its own");
        assert!(dashboard["id"].is_null(), "{file}: Grafana gives the id");
        let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for panel in array(&dashboard, "panels") {
            let title = &panel["title"];
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}, {title}: an id of its own");
            let place = &panel["gridPos"];
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| place[name].as_u64().unwrap());
            assert!(w > 0 && h > 0 && x + w <= 24, "{file}, {title} fits");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(cells.insert(cell), "{file}, {title} hides another panel");
            }
        }
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            assert!(titles.insert(title.to_owned()), "{file}, {title} is there once");
            let description = panel["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{file}, {title} has a description");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}, {title}");
            assert!(!array(panel, "targets").is_empty(), "{file}, {title} asks something");
        }
    }
}

#[test]
fn queries_are_about_what_was_chosen_on_top() {
    for (file, dashboard) in dashboards() {
        let variables = array(&dashboard["templating"], "list");
        let variables: BTreeSet<_> =
            variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        for query in queries().iter().filter(|query| query.file == file) {
            let Query { place, expression, .. } = query;
            let selectors = expression.matches('{').count();
            for variable in variables.iter().filter(|name| **name != "datasource") {
                let applies = (*variable == "scenario") == query.is_about_k6();
                let used = expression.matches(&format!("{variable}=~\"${variable}\"")).count();
                assert_eq!(used, if applies { selectors } else { 0 }, "{place}: {variable} in {expression}");
            }
        }
    }
}

/// Names under which k6 writes what the scripts count, by the rules of its output: `_total` for counters, a statistic for
/// trends.
fn written_by_k6() -> BTreeSet<String> {
    let run = document("loadtest/run.sh");
    let stats = run.split("K6_PROMETHEUS_RW_TREND_STATS='").nth(1).unwrap().split('\'').next().unwrap();
    let stats: Vec<_> = stats.split(',').map(|stat| stat.replace(['(', ')'], "")).collect();
    let mut names = BTreeSet::new();
    for path in files("loadtest/lib") {
        let script = std::fs::read_to_string(path).unwrap();
        let names_of = |kind: &str| {
            let all = script.split(kind).skip(1).map(|rest| rest.split('\'').next().unwrap().to_owned());
            all.collect::<Vec<_>>()
        };
        names.extend(names_of("new Counter('").iter().map(|name| format!("k6_{name}_total")));
        for name in names_of("new Trend('") {
            names.extend(stats.iter().map(|stat| format!("k6_{name}_{stat}")));
        }
    }
    names
}

#[test]
fn what_is_asked_of_k6_is_counted_by_scripts() {
    let written = written_by_k6();
    let asked: Vec<_> = queries().into_iter().filter(Query::is_about_k6).collect();
    assert!(asked.len() > 5, "{} queries are about k6", asked.len());
    for Query { place, expression, .. } in asked {
        let names = metrics_in(&expression);
        assert_eq!(names.len(), 1, "{place}: {expression}");
        assert!(names.is_subset(&written), "{place}: {names:?} is not among {written:?}");
    }
}
