//! docs/command_line.md is what `--help` of every command says.

use std::collections::BTreeSet;
use std::process::Command;

use crate::{BINARY, document};

const PAGE: &str = "docs/command_line.md";

/// What a command says of itself, long and without what a developer's environment adds.
fn help(command: &[&str]) -> String {
    let mut program = Command::new(BINARY);
    program.args(command).arg("--help").env_remove("ROOMCAST_CONFIG");
    let output = program.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands below one, by the list in its help.
fn below(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    // Further lines of an explanation are indented deeper.
    let names = lines.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    names
        .filter_map(|line| line.split(' ').next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// The section of each command, by its heading.
fn sections(command: &[&str], all: &mut Vec<(String, String)>) {
    let help = help(command);
    let heading = format!("## `{}`", [&["roomcast"], command].concat().join(" "));
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    all.push((heading.clone(), format!("{heading}\n\n```text\n{}\n```\n", lines.join("\n").trim_end())));
    for name in below(&help) {
        sections(&[command, &[&*name]].concat(), all);
    }
}

#[test]
fn the_documented_command_line_is_what_help_says() {
    let mut expected = Vec::new();
    sections(&[], &mut expected);
    let page = document(PAGE);
    let documented: BTreeSet<_> = page.lines().filter(|line| line.starts_with("## ")).collect();
    let headings: BTreeSet<_> = expected.iter().map(|(heading, _)| &**heading).collect();
    assert_eq!(documented, headings, "{PAGE} has a section for each command");
    assert!(headings.len() > 8, "{headings:?}");
    let wrong: Vec<_> =
        expected.iter().filter(|(_, text)| !page.contains(text)).map(|(_, text)| &**text).collect();
    assert!(wrong.is_empty(), "in {PAGE} put\n{}", wrong.join("\n"));
}
