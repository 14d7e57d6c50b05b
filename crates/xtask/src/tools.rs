//! `cargo xtask tools`: the Go programs that checks use, built beforehand.

use anyhow::{Context, Result};
use xtask::go_tools::{ALL, GoTool};

/// Builds the tools of these `names`, or all, and prints where they are.
pub(crate) fn run(names: &[&str]) -> Result<()> {
    for name in names {
        named(name)?;
    }
    for tool in ALL.iter().filter(|tool| names.is_empty() || names.contains(&tool.name())) {
        println!("{}", tool.path()?.display());
    }
    Ok(())
}

fn named(name: &str) -> Result<&'static GoTool> {
    let all: Vec<_> = ALL.iter().map(GoTool::name).collect();
    let tool = ALL.iter().find(|tool| tool.name() == name);
    tool.with_context(|| format!("there is no tool {name}; there are {}", all.join(", ")))
}
