//! Every block of code in the documents is run, in order, as its reader would; what is shown as output is compared with what
//! was printed. A document is a story: it has a folder, one shell and ports of its own (`stage.rs`), and starts its nodes itself.
//!
//! What a block is, its language says (`play.rs`); settings and data are read by who reads them. What the text tells a reader in
//! words, a comment above the block tells the test (`document.rs`): that it is saved as a file, that it goes on in a terminal,
//! that it is typed into a page. Comments may also have commands of their own, for what readers have done before, or wait for.
//! In output `…` stands for anything. A block that cannot be run says so, with the reason, and has its syntax checked; a
//! block of which nothing is known is an error.
//!
//! `SNIPPETS=tutorial cargo test -p roomcast --test snippets` plays the documents with that in their name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod document;
mod output;
mod play;
mod stage;

use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use play::{Counts, play};
use xtask::project_root;

/// What has a test of its own: the examples, and what `--help` says, which `documents` compares.
const ELSEWHERE: [&str; 2] = ["docs/examples", "docs/command_line.md"];
/// Documents outside of `docs`.
const OTHERS: [&str; 5] = [
    "README.md",
    "SECURITY.md",
    "clients/javascript/README.md",
    "helm/roomcast/README.md",
    "loadtest/README.md",
];
/// How many documents are played at once: they mostly wait.
const STAGES: usize = 3;

/// Every document with code for readers, by its name.
fn documents() -> Vec<String> {
    let mut found: Vec<_> = OTHERS.iter().map(ToString::to_string).collect();
    let mut folders = vec![project_root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(project_root()).unwrap().display().to_string();
            if ELSEWHERE.contains(&&*name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// What has become of one document.
type Played = (String, Result<Counts, String>);

fn play_all(names: Vec<String>) -> Vec<Played> {
    let waiting = Mutex::new(names);
    let played = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..STAGES {
            scope.spawn(|| {
                loop {
                    let Some(name) = waiting.lock().unwrap().pop() else { return };
                    let text = std::fs::read_to_string(project_root().join(&name)).unwrap();
                    let result = play(&text);
                    if let Err(error) = &result {
                        tell(&format!("{name}, {error}"));
                    }
                    played.lock().unwrap().push((name, result));
                }
            });
        }
    });
    played.into_inner().unwrap()
}

/// Straight to the terminal, and at once: what a test that passes prints is not shown otherwise.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[test]
fn every_snippet_of_the_documents_runs() {
    let wanted = std::env::var("SNIPPETS").unwrap_or_default();
    let names: Vec<_> = documents().into_iter().filter(|name| name.contains(&wanted)).collect();
    let mut played = play_all(names);
    played.sort_by(|a, b| a.0.cmp(&b.0));
    let mut total = Counts::default();
    let mut failures = Vec::new();
    for (name, result) in &played {
        match result {
            Ok(counts) => total += *counts,
            Err(error) => failures.push(format!("{name}, {error}")),
        }
    }
    let Counts { run, compared, read, checked } = total;
    tell(&format!(
        "{} documents: {run} snippets run, {compared} outputs compared, {read} settings and data read, {checked} checked only",
        played.len()
    ));
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert!(!wanted.is_empty() || (run > 100 && compared > 40), "{total:?}: where have they gone?");
}

/// The test can see: each of these is what must not stand in a document.
#[test]
fn what_is_wrong_in_a_document_is_found() {
    for (text, complaint) in [
        ("```sh\nfalse\n```\n", "fails"),
        ("<!-- fails -->\n```sh\ntrue\n```\n", "does not fail"),
        ("```sh\necho a\n```\n```text\nb\n```\n", "instead of"),
        ("```text\nb\n```\n", "output of what?"),
        ("```\nb\n```\n", "is no language"),
        ("```cobol\nb\n```\n", "is no language"),
        ("```json\n{\"a\":}\n```\n", "fails"),
        ("```toml\n[server]\nlisten_to = 1\n```\n", "fails"),
        ("```js\nthrow new Error();\n```\n", "fails"),
        ("<!-- checked: because -->\n```sh\nif\n```\n", "fails"),
        ("<!-- file: a.py -->\n```python\nprint(1)\n```\n", "nothing that is run uses a.py"),
        ("<!-- output: a -->\n```text\nb\n```\n", "there is no terminal"),
        (
            "<!-- terminal: a -->\n```js\nconsole.log(1);\nthrow new Error();\n```\n```text\n1\n…\nNode…\n```\n```sh\nuntil_it_does test -e terminal3.sh.code\n```\n",
            "has failed in its terminal",
        ),
    ] {
        let error = play(text).expect_err(text);
        assert!(error.contains(complaint), "{text}{error}");
    }
    let good = play("```sh\na=8080\n```\n```sh\necho $a\n```\n```text\n8080\n```\n").unwrap();
    assert_eq!((good.run, good.compared), (2, 1));
}
