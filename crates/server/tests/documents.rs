//! What the documents say about the binary is what the binary says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
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

#[test]
fn every_metric_is_documented_and_every_documented_one_exists() {
    let node = Node::start(BINARY, &[]).unwrap();
    let scrape = http_get(node.admin_port(), "/metrics").unwrap();
    let exposed: BTreeSet<String> = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|rest| rest.split(' ').next().unwrap().to_owned())
        .filter(|name| name.starts_with("roomcast_"))
        .collect();
    let documented: BTreeSet<String> = document("docs/operations.md")
        .split('`')
        .filter(|word| word.starts_with("roomcast_"))
        .map(|word| word.split('{').next().unwrap().to_owned())
        .collect();
    assert_eq!(exposed, documented);
    for name in &exposed {
        assert!(scrape.contains(&format!("# HELP {name} ")), "{name} has a help text");
    }
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
