//! Dashboards, as far as they can be checked without data: that people find their way in them, and that panels do not hide each other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files;

pub(crate) const FOLDER: &str = "deploy/grafana/dashboards";

/// A query of a panel.
pub(crate) struct Query {
    pub(crate) place: String,
    pub(crate) expression: String,
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
                queries.push(Query { place, expression });
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
        for panel in panels(&dashboard) {
            for target in array(panel, "targets") {
                let expression = target["expr"].as_str().unwrap();
                let selectors = expression.matches('{').count();
                for variable in variables.iter().filter(|name| **name != "datasource") {
                    let used = expression.matches(&format!("{variable}=~\"${variable}\"")).count();
                    assert_eq!(used, selectors, "{file}, {}: {variable} in {expression}", panel["title"]);
                }
            }
        }
    }
}
