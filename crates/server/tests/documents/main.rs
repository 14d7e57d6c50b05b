//! What the documents say about the binary is what the binary says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin_api;
mod command_line;
mod protocol;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use xtask::process::http_get;
use xtask::{Node, project_root};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

fn document(name: &str) -> String {
    std::fs::read_to_string(project_root().join(name)).unwrap()
}

#[test]
fn the_documented_configuration_is_the_default_one() {
    let output = Command::new(BINARY).args(["config", "default"]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        document("docs/configuration.md").contains(&printed),
        "copy `roomcast config default` into docs/configuration.md"
    );
}

/// What the table in docs/operations.md has to hold: the table in the code is where all of it is written once.
#[test]
fn the_documented_metrics_are_those_that_are_scraped() {
    let node = Node::start(BINARY, &[]).unwrap();
    let scraped = metric_rows(&http_get(node.admin_port(), "/metrics").unwrap());
    let documented: BTreeSet<String> = document("docs/operations.md")
        .lines()
        .filter(|line| line.starts_with("| `roomcast_"))
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = scraped.difference(&documented).cloned().collect();
    let wrong: Vec<_> = documented.difference(&scraped).cloned().collect();
    assert!(
        missing.is_empty() && wrong.is_empty(),
        "in docs/operations.md put\n{}\nfor\n{}",
        missing.join("\n"),
        wrong.join("\n")
    );
    assert!(scraped.len() > 40, "{scraped:?}");
}

/// A row of the table of metrics for each that is ours in the text of a scrape.
fn metric_rows(scrape: &str) -> BTreeSet<String> {
    let after = |mark: &str, name: &str| {
        let mark = format!("# {mark} {name} ");
        scrape
            .lines()
            .find_map(|line| line.strip_prefix(&mark))
            .unwrap_or_else(|| panic!("{mark}"))
            .to_owned()
    };
    let names = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let ours = names.filter(|name| name.starts_with("roomcast_"));
    ours.map(|name| {
        let (kind, help) = (after("TYPE", name), after("HELP", name));
        format!("| `{name}{}` | {kind} | {help} |", labels(scrape, name))
    })
    .collect()
}

/// The names of a metric's labels, in braces.
fn labels(scrape: &str, name: &str) -> String {
    let line = scrape.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let Some((pairs, _)) = line.and_then(|line| line.split_once('}')) else { return String::new() };
    let names: Vec<_> = pairs.split(',').filter_map(|pair| Some(pair.split_once('=')?.0)).collect();
    format!("{{{}}}", names.join(","))
}

/// The rows of the table in a document whose head begins with this word, cell by cell, without the marks of code.
fn table(name: &str, head: &str) -> Vec<Vec<String>> {
    let text = document(name);
    let begin = text.find(&format!("\n| {head} |")).unwrap_or_else(|| panic!("{name} has a table of {head}"));
    let rows = text[begin + 1..].lines().skip(2).take_while(|line| line.starts_with('|'));
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    rows.map(|row| row.trim_matches('|').split('|').map(cell).collect()).collect()
}

/// Every setting and its default, as `roomcast config default` prints them.
fn defaults() -> BTreeMap<String, toml::Value> {
    let output = Command::new(BINARY).args(["config", "default"]).output().unwrap();
    let mut waiting: Vec<(String, toml::Value)> =
        String::from_utf8(output.stdout).unwrap().parse::<toml::Table>().unwrap().into_iter().collect();
    let mut settings = BTreeMap::new();
    while let Some((path, value)) = waiting.pop() {
        match value {
            toml::Value::Table(table) => {
                waiting.extend(table.into_iter().map(|(name, value)| (format!("{path}.{name}"), value)));
            }
            value => drop(settings.insert(path, value)),
        }
    }
    settings
}

#[test]
fn the_defaults_that_security_rests_on_are_documented_as_they_are() {
    let defaults = defaults();
    let mut documented = BTreeSet::new();
    for row in table("docs/security.md", "setting | default | why") {
        let [setting, default, why] = &row[..] else { panic!("{row:?}") };
        let stated: toml::Table = format!("value = {default}").parse().unwrap();
        assert_eq!(defaults.get(setting), Some(&stated["value"]), "{setting}");
        assert!(
            !why.is_empty() && documented.insert(setting.clone()),
            "{setting} is there once, with a reason"
        );
    }
    let tables = ["admin.", "auth.", "cors.", "limits.", "server.", "tls.", "websocket."];
    let missing: Vec<_> = defaults
        .keys()
        .filter(|path| tables.iter().any(|table| path.starts_with(table)) && !documented.contains(*path))
        .collect();
    assert!(missing.is_empty(), "give the defaults of {missing:?} and the reasons in docs/security.md");
}

#[test]
fn bounds_that_are_no_settings_are_documented_as_they_are() {
    let rows = table("docs/security.md", "constant | value | of | why");
    for row in &rows {
        let [name, value, file, _] = &row[..] else { panic!("{row:?}") };
        assert_eq!(constants(file).get(name), Some(value), "{name} in {file}");
    }
    for file in ["crates/protocol/src/limits.rs", "crates/transport/src/limits.rs"] {
        for name in constants(file).keys() {
            let stated = rows.iter().any(|row| row[0] == *name && row[2] == file);
            assert!(stated, "{name} in {file} is not in docs/security.md");
        }
    }
}

/// What follows the `=` of each `const NAME: TYPE = VALUE;` of a source file.
fn constants(file: &str) -> BTreeMap<String, String> {
    let source = document(file);
    let found = source.split("const ").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once(": ")?;
        let (_, value) = rest.split_once(';')?.0.split_once(" = ")?;
        Some((name.to_owned(), value.to_owned()))
    });
    found.collect()
}

/// The commands of the README, on the ports that a test may use.
#[test]
fn the_readme_shows_what_the_binary_prints() {
    let node = Node::start(BINARY, &[]).unwrap();
    let readme = document("README.md");
    let address = format!("127.0.0.1:{}", node.port());
    for command in
        ["curl -N 'http://ADDRESS/sse?room=hello'", "curl -d 'hi there' http://ADDRESS/rooms/hello/messages"]
    {
        assert!(readme.contains(&command.replace("ADDRESS", "127.0.0.1:8080")), "{command}");
        assert!(node.output().contains(&command.replace("ADDRESS", &address)), "{command}");
    }
}
