//! Rules of the repository that a compiler does not check.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use xtask::project_root;

/// Longest source file, in lines: one that reads from top to bottom.
const FILE_LINES_MAX: usize = 400;

/// Which crate may import which: the picture in ARCHITECTURE.md.
const DIRECTIONS: [(&str, &[&str]); 10] = [
    ("protocol", &[]),
    ("broker", &["protocol"]),
    ("broker-redis", &["protocol", "broker"]),
    ("hub", &["protocol", "broker"]),
    ("session", &["protocol", "broker", "hub"]),
    ("transport", &["protocol", "session"]),
    ("uring", &[]),
    ("server", &["protocol", "broker", "broker-redis", "hub", "session", "transport", "uring", "bench"]),
    ("bench", &["protocol"]),
    ("xtask", &[]),
];

fn files(extension: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![project_root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(&*name, "target" | "node_modules" | ".git") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                all.push(path);
            }
        }
    }
    assert!(!all.is_empty(), "there are .{extension} files");
    all
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(project_root()).unwrap().display().to_string()
}

/// Sources that become part of the product, without their tests.
fn product_sources() -> Vec<PathBuf> {
    let is_product = |path: &PathBuf| {
        let name = shown(path);
        name.starts_with("crates/")
            && name.contains("/src/")
            && !name.starts_with("crates/xtask/")
            && !name.ends_with("_tests.rs")
    };
    files("rs").into_iter().filter(is_product).collect()
}

#[test]
fn crates_import_in_one_direction() {
    let folders: BTreeSet<_> = std::fs::read_dir(project_root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let known: BTreeSet<_> = DIRECTIONS.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(folders, known, "every crate has its place in the picture");
    for (name, allowed) in DIRECTIONS {
        let manifest = text(&project_root().join("crates").join(name).join("Cargo.toml"));
        let manifest: toml::Table = manifest.parse().unwrap();
        let dependencies = manifest.get("dependencies").and_then(|table| table.as_table());
        for dependency in dependencies.into_iter().flat_map(|table| table.keys()) {
            if let Some(imported) = dependency.strip_prefix("roomcast-") {
                assert!(allowed.contains(&imported), "{name} must not import {imported}");
            }
            assert_ne!(dependency, "xtask", "{name} must not import xtask");
        }
        let takes_lints = manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
        let own = name == "uring";
        assert_eq!(takes_lints, (!own).then_some(true), "{name} takes the lints of the workspace");
    }
}

/// One place, in a crate that is there for nothing else and keeps all other rules.
#[test]
fn no_other_code_of_ours_is_unsafe() {
    let lints = |path: &str, table: fn(&toml::Table) -> &toml::Value| {
        let manifest: toml::Table = text(&project_root().join(path)).parse().unwrap();
        table(&manifest).clone()
    };
    let mut all = lints("Cargo.toml", |manifest| &manifest["workspace"]["lints"]);
    let mut own = lints("crates/uring/Cargo.toml", |manifest| &manifest["lints"]);
    let unsafe_code = |lints: &mut toml::Value| lints["rust"].as_table_mut().unwrap().remove("unsafe_code");
    assert_eq!(unsafe_code(&mut all).unwrap().as_str(), Some("forbid"));
    assert_eq!(unsafe_code(&mut own).unwrap().as_str(), Some("allow"));
    for (tool, rules) in all.as_table().unwrap() {
        for (rule, level) in rules.as_table().unwrap() {
            assert_eq!(own[tool].get(rule), Some(level), "{rule} in crates/uring/Cargo.toml");
        }
    }
    assert!(text(&project_root().join("fuzz/src/lib.rs")).contains("#![forbid(unsafe_code)]"));
    let places: Vec<_> = product_sources()
        .into_iter()
        .flat_map(|path| {
            let count = text(&path).matches("unsafe {").count();
            (count > 0).then_some((path, count))
        })
        .collect();
    assert_eq!(places.len(), 1, "{places:?}");
    assert!(places[0].0.ends_with("crates/uring/src/ring.rs") && places[0].1 == 1, "{places:?}");
}

/// What is fuzzed is what is shipped.
#[test]
fn the_fuzz_workspace_uses_the_same_versions() {
    let locked = |path: &str| -> BTreeSet<(String, String)> {
        let lock: toml::Table = text(&project_root().join(path)).parse().unwrap();
        let field = |package: &toml::Value, name: &str| package[name].as_str().unwrap().to_owned();
        let packages = lock["package"].as_array().unwrap().iter();
        packages.map(|package| (field(package, "name"), field(package, "version"))).collect()
    };
    let shipped = locked("Cargo.lock");
    let names: BTreeSet<_> = shipped.iter().map(|(name, _)| name).collect();
    let other: Vec<_> = locked("fuzz/Cargo.lock")
        .into_iter()
        .filter(|package| names.contains(&package.0) && !shipped.contains(package))
        .collect();
    assert!(
        other.is_empty(),
        "{other:?}: copy Cargo.lock to fuzz/Cargo.lock and run cargo check --manifest-path fuzz/Cargo.toml"
    );
}

#[test]
fn every_source_file_says_what_it_is() {
    for path in files("rs") {
        assert!(text(&path).starts_with("//! "), "{} begins with a module comment", shown(&path));
    }
}

#[test]
fn source_files_can_be_read_from_top_to_bottom() {
    for path in files("rs") {
        let lines = text(&path).lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines; split it", shown(&path));
    }
}

#[test]
fn every_queue_has_a_bound() {
    for path in product_sources() {
        assert!(!text(&path).contains("unbounded"), "{}", shown(&path));
    }
}

#[test]
fn threads_and_environment_have_one_place_each() {
    let rules: [(&[&str], &str); 2] = [
        (&["thread::spawn", "thread::Builder", "Builder::new().name("], "crates/server/src/cores.rs"),
        (&["env::var", "env::vars"], "crates/server/src/cli.rs"),
    ];
    for path in product_sources() {
        for (patterns, place) in rules {
            let found = patterns.iter().any(|pattern| text(&path).contains(pattern));
            assert!(!found || shown(&path) == place, "{} does what only {place} does", shown(&path));
        }
    }
}

#[test]
fn the_container_runs_as_an_unprivileged_user() {
    let dockerfile = text(&project_root().join("deploy/Dockerfile"));
    let last_stage = dockerfile.rsplit("\nFROM ").next().unwrap();
    let users: Vec<_> = last_stage.lines().filter_map(|line| line.strip_prefix("USER ")).collect();
    let [user] = users[..] else { panic!("the last stage names one user, not {users:?}") };
    let numbers: Vec<u32> = user.split(':').map(|part| part.parse().unwrap()).collect();
    assert!(numbers.len() == 2 && numbers.iter().all(|number| *number >= 1000), "{user}");
    let (before, after) = last_stage.split_once("USER ").unwrap();
    assert!(
        before.contains("COPY --from=build") && after.contains("ENTRYPOINT [\"/usr/local/bin/roomcast\"]")
    );
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut links = 0;
    for path in files("md") {
        let content = text(&path);
        for part in content.split("](").skip(1) {
            let link = part.split([')', '#']).next().unwrap_or_default();
            if link.is_empty() || link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            links += 1;
            let target = path.parent().unwrap().join(link);
            assert!(target.exists(), "{} links to {link}, which is not there", shown(&path));
        }
    }
    assert!(links > 0, "documents link to each other");
}

/// Paths in ARCHITECTURE.md are checked, so that it stays true.
#[test]
fn the_architecture_names_files_that_exist() {
    let content = text(&project_root().join("ARCHITECTURE.md"));
    let mut named = 0;
    for word in content.split('`').skip(1).step_by(2) {
        let is_path = ["crates/", "deploy/", "docs/", "fuzz/"].iter().any(|folder| word.starts_with(folder));
        if is_path && !word.contains(['*', '{', '<']) {
            named += 1;
            assert!(project_root().join(word).exists(), "ARCHITECTURE.md names {word}, which is not there");
        }
    }
    assert!(named > 10, "it names files");
    assert!(content.lines().count() <= 200, "it stays short");
}
