//! Plain manifests for those who do not use Helm: rendered from the chart, and compared with it.

use std::path::PathBuf;

use anyhow::{Result, bail};
use xtask::project_root;

use super::{output, template};

const VALUES: &str = "deploy/kubernetes/values.yaml";
const MANIFESTS: &str = "deploy/kubernetes/roomcast.yaml";

const HEAD: &str = "\
# A cluster of three nodes, rendered from helm/roomcast with values.yaml beside this file: `cargo xtask helm --write`.
#
#   kubectl create namespace roomcast
#   kubectl --namespace roomcast create secret generic roomcast \\
#     --from-literal=jwt-secret=\"$(openssl rand -hex 32)\" --from-literal=admin-key=\"$(openssl rand -hex 32)\"
#   kubectl --namespace roomcast apply --filename deploy/kubernetes/roomcast.yaml
#
# Redis is expected at redis:6379. The image has to be where your machines find it: see docs/kubernetes.md.
";

/// That the file is what the chart renders now.
pub(super) fn check() -> Result<()> {
    let written = std::fs::read_to_string(path()).unwrap_or_default();
    if written != rendered()? {
        bail!("{MANIFESTS} is not what the chart renders: run `cargo xtask helm --write`");
    }
    Ok(())
}

/// Writes the file.
pub(super) fn write() -> Result<()> {
    std::fs::write(path(), rendered()?)?;
    println!("{MANIFESTS}");
    Ok(())
}

fn path() -> PathBuf {
    project_root().join(MANIFESTS)
}

/// What the chart renders, without what is Helm's own.
fn rendered() -> Result<String> {
    let manifests = output(template(&["--values", VALUES, "--no-hooks"])?)?;
    let is_helms = |line: &str| {
        let line = line.trim_start();
        line.starts_with("# Source: ")
            || line.starts_with("helm.sh/chart:")
            || line.starts_with("app.kubernetes.io/managed-by:")
    };
    let mut text = HEAD.to_owned();
    for line in manifests.lines().filter(|line| !is_helms(line)) {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text.replace("\n\n---\n", "\n---\n"))
}
