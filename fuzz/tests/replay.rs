//! Every file of the corpus through its target. What a fuzzer has found is a file there, and stays fixed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use roomcast_fuzz::TARGETS;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn names(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_holds_for_the_corpus() {
    for (name, run) in TARGETS {
        let files = names(&root().join("corpus").join(name));
        assert!(files.len() >= 3, "{name} has seeds");
        for path in files {
            eprintln!("{}", path.display());
            run(&fs::read(&path).unwrap());
        }
    }
}

/// What libFuzzer begins with in any case, and what no seed is: long runs of one byte.
#[test]
fn what_holds_for_trivial_inputs() {
    for (name, run) in TARGETS {
        for byte in 0..=u8::MAX {
            for len in [0, 1, 2, 50, 2000] {
                eprintln!("{name}: {len} times {byte:#04x}");
                run(&vec![byte; len]);
            }
        }
    }
}

#[test]
fn every_target_is_known_everywhere() {
    let known: BTreeSet<String> = TARGETS.iter().map(|(name, _)| name.to_string()).collect();
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let programs = manifest["bin"].as_array().unwrap().iter();
    let programs: BTreeSet<String> = programs.map(|bin| bin["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(programs, known, "Cargo.toml and src/lib.rs");
    let file_name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    for folder in ["corpus", "fuzz_targets"] {
        let found: BTreeSet<String> = names(&root().join(folder)).iter().map(file_name).collect();
        assert_eq!(found, known, "{folder} and src/lib.rs");
    }
}

/// A corpus of thousands of generated files would say nothing to a reader.
#[test]
fn seeds_are_few_and_small() {
    for (name, _) in TARGETS {
        let files = names(&root().join("corpus").join(name));
        let bytes: u64 = files.iter().map(|path| path.metadata().unwrap().len()).sum();
        assert!(files.len() <= 50 && bytes <= 32 * 1024, "{name}: {} files, {bytes} bytes", files.len());
    }
}
