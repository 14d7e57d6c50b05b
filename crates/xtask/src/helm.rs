//! `cargo xtask helm`: the chart, checked by the tools that read it and by the binary that it configures.

mod documents;
mod plain;
mod refusals;
mod rendered;
mod settings;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::go_tools::{HELM, HELM_UNITTEST};
use xtask::project_root;

/// Below the project's root.
const CHART: &str = "helm/roomcast";
/// Release and namespace that are rendered.
const RELEASE: &str = "roomcast";

/// Runs all checks of the chart.
pub(crate) fn run() -> Result<()> {
    let values = matrix()?;
    step("lint", || values.iter().try_for_each(|file| lint(file)))?;
    step("settings in the schema", settings::check)?;
    step("page", settings::check_page)?;
    step("version and metric", settings::check_names)?;
    step("values in the documents", documents::check)?;
    step("refusals", refusals::check)?;
    step("unit tests", unit_tests)?;
    step("renders", || rendered::check(&values))?;
    step("deploy/kubernetes", plain::check)?;
    step("package", package)
}

/// The binary, built as tests have it.
pub(crate) fn binary() -> Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "--package", "roomcast"]);
    output(cargo)?;
    Ok(project_root().join("target/debug/roomcast"))
}

/// Renders `deploy/kubernetes`.
pub(crate) fn write() -> Result<()> {
    plain::write()
}

fn step(name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("helm: {name}");
    check().with_context(|| format!("the chart's {name}"))
}

/// Files of values that the chart is checked with.
fn matrix() -> Result<Vec<PathBuf>> {
    let folder = project_root().join(CHART).join("ci");
    let mut files = std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    if files.len() < 4 {
        bail!("{} has {} files of values; it had four", folder.display(), files.len());
    }
    Ok(files)
}

fn lint(values: &Path) -> Result<()> {
    let mut helm = HELM.command()?;
    helm.args(["lint", "--strict", CHART, "--values"]).arg(values);
    output(helm).map(drop)
}

/// `helm-unittest` counts what it ran; a chart whose tests are not found has none.
fn unit_tests() -> Result<()> {
    let mut unittest = HELM_UNITTEST.command()?;
    unittest.args(["--strict", "--color=false", CHART]);
    let said = output(unittest)?;
    let summary = said.lines().filter(|line| line.contains("passed")).collect::<Vec<_>>().join("; ");
    eprintln!("  {summary}");
    let chart = project_root().join(CHART);
    let mut templates = yaml_files(&chart.join("templates"))?;
    templates.extend(yaml_files(&chart.join("templates/tests"))?);
    for template in templates {
        let tests = format!("tests/{template}_test.yaml");
        if !chart.join(&tests).exists() {
            bail!("the template {template}.yaml has no {tests}");
        }
    }
    Ok(())
}

/// Names of the `.yaml` files of a folder, without their ending.
fn yaml_files(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".yaml").map(str::to_owned));
    }
    Ok(names)
}

/// The package has what the chart's links lead to, not the links.
fn package() -> Result<()> {
    let folder = xtask::process::scratch_folder("chart")?;
    let mut helm = HELM.command()?;
    helm.args(["package", CHART, "--destination"]).arg(&*folder);
    output(helm)?;
    let made = std::fs::read_dir(&*folder)?.next().context("helm package has made nothing")??.path();
    let mut values = HELM.command()?;
    values.args(["template", RELEASE]).arg(&made);
    values.args(["--set", "metrics.dashboards.enabled=true,metrics.prometheusRule.enabled=true"]);
    let packed = output(values)?;
    for part in
        ["roomcast-cluster.json", "roomcast-node.json", "roomcast-loadtest.json", "kind: PrometheusRule"]
    {
        if !packed.contains(part) {
            bail!("the packaged chart renders no {part}");
        }
    }
    Ok(())
}

/// `helm template` with `arguments`.
fn template(arguments: &[&str]) -> Result<Command> {
    let mut helm = HELM.command()?;
    helm.args(["template", RELEASE, CHART, "--namespace", RELEASE])
        .args(arguments)
        .current_dir(project_root());
    Ok(helm)
}

/// What a program writes to its output; a failure comes with all that it said.
fn output(mut command: Command) -> Result<String> {
    command.current_dir(project_root());
    let output =
        command.output().with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!("{}", said(&command, &output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn said(command: &Command, output: &std::process::Output) -> String {
    let all = [&output.stdout[..], &output.stderr[..]].concat();
    let lines = String::from_utf8_lossy(&all).lines().filter(|line| !line.contains("symbolic link")).fold(
        String::new(),
        |mut text, line| {
            text.push('\n');
            text.push_str(line);
            text
        },
    );
    format!("{command:?}: {}{lines}", output.status)
}
