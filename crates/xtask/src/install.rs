//! Programs that the tests run. Missing ones are installed where that is allowed (root on Debian or
//! Ubuntu); elsewhere the error says what to install. Nothing is skipped.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

/// A program and the Debian package that has it.
const PROGRAMS: [(&str, &str); 20] = [
    ("redis-server", "redis-server"),
    ("redis-cli", "redis-tools"),
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("curl", "curl"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3-venv"),
    ("chromium", "chromium"),
    ("openssl", "openssl"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("shellcheck", "shellcheck"),
    ("caddy", "caddy"),
    ("systemd-analyze", "systemd"),
    ("valgrind", "valgrind"),
    ("pgrep", "procps"),
    ("go", "golang-go"),
    ("php", "php-cli"),
    // A library of the program above.
    ("php", "php-redis"),
];

/// Installs what is missing.
pub(crate) fn programs() -> Result<()> {
    let missing: Vec<_> = PROGRAMS.iter().filter(|(program, _)| !is_installed(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    let mut packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    if !may_install() {
        bail!(
            "the checks need {}; install them, on Debian or Ubuntu with: sudo apt-get install {}",
            names.join(", "),
            packages.join(" ")
        );
    }
    eprintln!("installing {}", packages.join(" "));
    apt(&["update", "-qq"])?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(packages);
    apt(&install)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers live where the search path of users does not lead.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.into_iter().any(|folder| folder.join(program).is_file())
}

fn may_install() -> bool {
    rustix::process::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists()
}

fn apt(arguments: &[&str]) -> Result<()> {
    let status = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("apt-get {} failed", arguments.join(" "));
    }
    Ok(())
}
