//! The chart's `config` against the binary's settings: none is missing, none is there that does not exist.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xtask::project_root;

use super::{CHART, binary, output};

/// What the chart sets itself, by values of other names.
const SET_BY_THE_CHART: [&str; 6] =
    ["server.listen", "admin.", "tls.", "broker.url", "broker.password_file", "broker.tls."];

/// Compares the schema with what `roomcast config default` prints.
pub(super) fn check() -> Result<()> {
    let mut binary = Command::new(binary()?);
    binary.args(["config", "default"]);
    let defaults: toml::Table = output(binary)?.parse()?;
    let mut exist = BTreeSet::new();
    settings_of(&defaults, "", &mut exist);
    exist.retain(|name| !SET_BY_THE_CHART.iter().any(|own| name.starts_with(own)));

    let schema = std::fs::read(project_root().join(CHART).join("values.schema.json"))?;
    let schema: Value = serde_json::from_slice(&schema)?;
    let mut allowed = BTreeSet::new();
    allowed_by(&schema["properties"]["config"], "", &mut allowed)?;
    // The options of any namespace are those of the default one.
    let options = &schema["properties"]["config"]["properties"]["namespaces"]["additionalProperties"];
    allowed_by(options, "namespaces.default.", &mut allowed)?;

    let missing: Vec<_> = exist.difference(&allowed).collect();
    let made_up: Vec<_> = allowed.difference(&exist).collect();
    if exist.is_empty() || !missing.is_empty() || !made_up.is_empty() {
        bail!(
            "values.schema.json: config lacks {missing:?}, and has {made_up:?}, which roomcast does not know"
        );
    }
    Ok(())
}

/// That the chart's page has a word on each value.
pub(super) fn check_page() -> Result<()> {
    let chart = project_root().join(CHART);
    let page = std::fs::read_to_string(chart.join("README.md"))?;
    let schema: Value = serde_json::from_slice(&std::fs::read(chart.join("values.schema.json"))?)?;
    let values = schema["properties"].as_object().context("the schema has no properties")?;
    let unsaid: Vec<_> = values.keys().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    if unsaid.iter().any(|name| *name != "global") {
        bail!("README.md of the chart does not mention {unsaid:?}");
    }
    Ok(())
}

/// That the chart is of this version, and that the autoscaler asks for a metric that nodes have: a test of
/// `docs/operations.md` compares it with what they answer.
pub(super) fn check_names() -> Result<()> {
    let chart = project_root().join(CHART);
    let of_chart = std::fs::read_to_string(chart.join("Chart.yaml"))?;
    let version = format!("\nappVersion: {}\n", env!("CARGO_PKG_VERSION"));
    if !of_chart.contains(&version) {
        bail!("Chart.yaml must say{version}");
    }
    let values = std::fs::read_to_string(chart.join("values.yaml"))?;
    let metric = values.lines().find_map(|line| line.trim().strip_prefix("connectionsMetric: "));
    let metric = metric.context("values.yaml has no autoscaling.connectionsMetric")?;
    if !std::fs::read_to_string(project_root().join("docs/operations.md"))?.contains(&format!("`{metric}{{"))
    {
        bail!("autoscaling.connectionsMetric is {metric}, which docs/operations.md does not list");
    }
    Ok(())
}

fn settings_of(table: &toml::Table, before: &str, all: &mut BTreeSet<String>) {
    for (name, value) in table {
        let path = format!("{before}{name}");
        match value {
            toml::Value::Table(inner) => settings_of(inner, &format!("{path}."), all),
            _ => drop(all.insert(path)),
        }
    }
}

/// Adds the settings that an object of the schema has, and makes sure that it takes no others.
fn allowed_by(object: &Value, before: &str, all: &mut BTreeSet<String>) -> Result<()> {
    let properties = object["properties"].as_object().with_context(|| format!("{before}: not an object"))?;
    if object["additionalProperties"] != Value::Bool(false) {
        bail!("values.schema.json: config.{before} takes anything");
    }
    for (name, property) in properties {
        let path = format!("{before}{name}");
        if property.get("properties").is_some() {
            allowed_by(property, &format!("{path}."), all)?;
        } else if path != "namespaces" {
            all.insert(path);
        }
    }
    Ok(())
}
