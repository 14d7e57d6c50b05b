//! The values that docs/kubernetes.md shows are values of the chart.

use anyhow::{Result, bail};
use xtask::process::scratch_folder;
use xtask::project_root;

use super::{output, template};

const PAGE: &str = "docs/kubernetes.md";
/// What a block begins with that is not for the chart: the configuration of prometheus-adapter.
const OTHERS: [&str; 1] = ["rules:"];

/// Renders the chart with each block of values on the page.
pub(super) fn check() -> Result<()> {
    let page = std::fs::read_to_string(project_root().join(PAGE))?;
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    let values: Vec<_> =
        blocks.filter(|block| !OTHERS.iter().any(|begin| block.starts_with(begin))).collect();
    if values.len() < 2 {
        bail!("{PAGE} shows {} blocks of values; it had two", values.len());
    }
    let folder = scratch_folder("values")?;
    let file = folder.join("values.yaml");
    for block in values {
        std::fs::write(&file, block)?;
        output(template(&["--values", &file.to_string_lossy()])?)?;
    }
    Ok(())
}
