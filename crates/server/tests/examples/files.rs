//! What holds for the files of all examples.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use xtask::{examples, project_root};

use crate::BINARY;

/// Lines of a backend that are not empty.
const BACKEND_LINES_MAX: usize = 40;

fn folder() -> PathBuf {
    project_root().join("docs/examples")
}

fn text(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn backends_are_short_and_in_three_languages() {
    let mut languages = BTreeSet::new();
    for name in examples::names().unwrap() {
        let file = examples::backend_file(&name).unwrap();
        let lines = std::fs::read_to_string(&file).unwrap();
        // Comments count.
        let count = lines.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(count <= BACKEND_LINES_MAX, "{} has {count} lines", file.display());
        assert!(lines.lines().all(|line| line.len() <= 140), "{} has no hidden lines", file.display());
        assert!(lines.contains("roomcast_publish") || lines.contains("publish("), "{}", file.display());
        languages.insert(file.extension().unwrap().to_owned());
    }
    assert_eq!(languages.len(), 3, "{languages:?}");
}

#[test]
fn pages_have_nothing_that_their_policy_forbids() {
    for name in examples::names().unwrap() {
        let page = text(&format!("{name}/index.html"));
        for inline in ["<style", "style=", "<script>", " onclick", "http://", "https://"] {
            assert!(!page.contains(inline), "{name}: {inline}");
        }
        for part in [
            "<html lang=\"en\">",
            "name=\"viewport\"",
            "content=\"light dark\"",
            "href=\"/shared/style.css\"",
            "src=\"page.js\"",
        ] {
            assert!(page.contains(part), "{name}: {part}");
        }
        let script = text(&format!("{name}/page.js"));
        assert!(script.starts_with("// "), "{name}/page.js says what it shows");
        for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(markup), "{name}: {markup}");
        }
    }
}

#[test]
fn configurations_are_right() {
    for name in examples::names().unwrap() {
        let output = Command::new(BINARY)
            .args(["config", "check", "--config"])
            .arg(folder().join(&name).join("roomcast.toml"))
            .env("JWT_SECRET", "0123456789abcdef0123456789abcdef")
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The table of the page about them has each example, with its backend's file and the command that runs it.
#[test]
fn the_readme_lists_all_of_them() {
    let readme = text("README.md");
    for name in examples::names().unwrap() {
        let file = examples::backend_file(&name).unwrap();
        let file = file.file_name().unwrap().to_string_lossy().into_owned();
        let row = readme.lines().find(|line| line.contains(&format!("| `cargo xtask example {name}` |")));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for {name}"));
        assert!(row.contains(&format!("({name}/{file})")), "{row}");
        assert!(row.contains(&format!("({name}/page.js)")), "{row}");
    }
    let rows = readme.lines().filter(|line| line.contains("| `cargo xtask example ")).count();
    assert_eq!(rows, examples::names().unwrap().len());
}
