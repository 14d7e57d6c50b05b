//! The files of `deploy/` and `docker-compose.yml`, judged by the programs that read them, and against what `cargo xtask cluster` starts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use xtask::process::{http_status, scratch_folder};
use xtask::{Kind, Node, plan, project_root, prometheus, python};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");
/// Of ten: what `systemd-analyze security` calls exposed. What talks to the network cannot have much less than one.
const EXPOSURE_MAX: &str = "20";

fn document(name: &str) -> String {
    std::fs::read_to_string(project_root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What a program says that has to succeed.
#[track_caller]
fn succeed(mut command: Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; `cargo xtask test` installs what is missing"));
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    said
}

/// A file of YAML.
fn yaml(name: &str) -> Value {
    let mut python = python::tools().unwrap().python();
    let program = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)";
    let mut python =
        python.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(document(name).as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{name} is YAML");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn compose() -> Value {
    yaml("docker-compose.yml")
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

/// Files and folders of ours that a service has: where they are, and where it sees them.
fn mounts(service: &Value) -> BTreeMap<&str, &str> {
    let ours = texts(&service["volumes"]).into_iter().filter_map(|volume| volume.strip_prefix("./"));
    ours.map(|volume| volume.strip_suffix(":ro").expect("mounted to be read").split_once(':').unwrap())
        .collect()
}

#[test]
fn compose_starts_what_the_cluster_starts() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    let mut missing: BTreeSet<&str> = services.keys().map(String::as_str).collect();
    for planned in plan::services() {
        let service = &compose["services"][planned.name];
        assert!(missing.remove(planned.name), "docker-compose.yml has {}", planned.name);
        let ports: Vec<_> =
            planned.ports.iter().map(|(here, inside)| format!("127.0.0.1:{here}:{inside}")).collect();
        assert_eq!(texts(&service["ports"]), ports, "{}", planned.name);
        let files: BTreeSet<_> = mounts(service).into_keys().collect();
        assert_eq!(files, planned.files.iter().copied().collect(), "{}", planned.name);
        let environment = service["environment"].as_object().into_iter().flatten();
        let environment: Vec<_> =
            environment.map(|(name, value)| (&**name, value.as_str().unwrap())).collect();
        assert_eq!(environment, planned.environment, "{}", planned.name);
    }
    for flag in prometheus::FLAGS {
        assert!(texts(&compose["services"]["prometheus"]["command"]).contains(&flag), "{flag}");
    }
    // A load test is no part of it, and Grafana cannot be had as a program.
    assert_eq!(missing, BTreeSet::from(["grafana", "k6"]));
    assert_eq!(compose["services"]["k6"]["profiles"], serde_json::json!(["loadtest"]));
}

#[test]
fn compose_names_what_is_there() {
    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        for (file, _) in mounts(service) {
            assert!(project_root().join(file).exists(), "{name}: {file} is there");
        }
        let image = service["image"].as_str().unwrap();
        let version = image.rsplit_once(':').map(|(_, version)| version);
        assert!(version.is_some_and(|version| version != "latest"), "{name}: {image} is a version");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is for this machine only");
        }
    }
    for gateway in plan::GATEWAYS {
        let service = &compose["services"][gateway.name];
        let seen = mounts(service)["deploy/roomcast/roomcast.toml"];
        assert_eq!(texts(&service["command"]), ["--config", seen]);
        assert!(project_root().join(service["build"]["dockerfile"].as_str().unwrap()).exists());
        assert_eq!(service["read_only"], true);
        assert_eq!(texts(&service["cap_drop"]), ["ALL"]);
    }
    let k6 = &services["k6"];
    assert!(project_root().join(k6["build"].as_str().unwrap()).join("Dockerfile").exists());
    let script = texts(&k6["command"])[1].strip_prefix('/').unwrap();
    assert!(project_root().join(script).exists(), "{script}");
    let (outputs, addresses): (Vec<_>, Vec<_>) =
        k6["environment"].as_object().unwrap().iter().partition(|(name, _)| name.starts_with("K6_"));
    // What run.sh has k6 write, by the same names.
    let run = document("loadtest/run.sh");
    for (name, value) in &outputs {
        let value = value.as_str().unwrap();
        let path = value.strip_prefix("http://prometheus:9090");
        let here = path.map_or_else(|| value.to_owned(), |path| format!("$PROMETHEUS_URL{path}"));
        let same = [format!("{name}={here}\n"), format!("{name}='{here}'\n"), format!("{name}=\"{here}\"\n")];
        assert!(same.iter().any(|line| run.contains(line)), "run.sh says {name}={here}");
    }
    assert_eq!(outputs.len(), 3);
    for address in addresses.iter().flat_map(|(_, all)| all.as_str().unwrap().split(',')) {
        let (host, port) = address.strip_prefix("http://").unwrap().split_once(':').unwrap();
        let planned = plan::services().into_iter().find(|planned| planned.name == host);
        let inside = planned.unwrap().ports.iter().map(|(_, inside)| inside.to_string());
        assert!(inside.into_iter().any(|inside| inside == port), "{address}");
    }
}

#[test]
fn every_configuration_is_about_the_same_nodes() {
    let files = Kind::ALL.map(Kind::file).into_iter().chain(["deploy/prometheus/prometheus.yml"]);
    for file in files {
        let text = document(file);
        let named = |gateway: &plan::Service| {
            text.contains(&format!("{}:", gateway.name)) || text.contains(&format!("{},", gateway.name))
        };
        assert!(plan::GATEWAYS.iter().all(named), "{file}");
        assert!(!text.contains("gateway4"), "{file}");
    }
    assert!(document("deploy/roomcast/roomcast.toml").contains("redis://redis:6379"));
}

#[test]
fn grafana_finds_its_dashboards_and_prometheus() {
    let compose = compose();
    let seen = mounts(&compose["services"]["grafana"]);
    let provider = yaml("deploy/grafana/provisioning/dashboards/roomcast.yml");
    assert_eq!(provider["providers"][0]["options"]["path"], seen["deploy/grafana/dashboards"]);
    assert_eq!(seen["deploy/grafana/provisioning"], "/etc/grafana/provisioning");
    let home = &compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    let home = home.as_str().unwrap().replace(seen["deploy/grafana/dashboards"], "deploy/grafana/dashboards");
    assert!(project_root().join(&home).exists(), "{home}");
    let source = &yaml("deploy/grafana/provisioning/datasources/prometheus.yml")["datasources"][0];
    assert_eq!(source["url"], format!("http://{}:{}", plan::PROMETHEUS.name, plan::PROMETHEUS.ports[0].1));
    let scraped = &yaml("deploy/prometheus/prometheus.yml")["global"]["scrape_interval"];
    assert_eq!(source["jsonData"]["timeInterval"], *scraped);
}

/// As containers have them: what the end-to-end tests run has other addresses, and for Caddy fewer lines.
#[test]
fn balancers_take_their_files_as_they_are() {
    let folder = scratch_folder("validate").unwrap();
    let mut envoy = python::tools().unwrap().program("envoy");
    envoy.args(["--mode", "validate", "--log-level", "error", "-c", Kind::Envoy.file()]);
    let mut caddy = Command::new("caddy");
    caddy.args(["validate", "--adapter", "caddyfile", "--config", Kind::Caddy.file()]).env("HOME", &*folder);
    for mut command in [envoy, caddy] {
        command.current_dir(project_root());
        succeed(command);
    }
}

#[test]
fn hadolint_has_nothing_to_say() {
    let mut hadolint = python::tools().unwrap().program("hadolint");
    let files = ["deploy/Dockerfile", "loadtest/extension/Dockerfile"];
    hadolint.current_dir(project_root()).args(["--failure-threshold", "style"]).args(files);
    assert_eq!(succeed(hadolint), "");
}

#[test]
fn the_health_check_of_the_image_asks_what_a_node_answers() {
    let dockerfile = document("deploy/Dockerfile");
    let url = dockerfile.split('"').find_map(|word| word.strip_prefix("http://127.0.0.1:")).unwrap();
    let (port, path) = url.split_at(url.find('/').unwrap());
    assert!(dockerfile.contains(&format!("ROOMCAST_ADMIN__LISTEN=0.0.0.0:{port}\n")));
    let node = Node::start(BINARY, &[]).unwrap();
    assert_eq!(http_status(node.admin_port(), path), Some(200));
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let mut list = Command::new("git");
    list.current_dir(project_root()).args(["ls-files", "*.sh", ".ci/run"]);
    let scripts = succeed(list);
    let mut shellcheck = Command::new("shellcheck");
    shellcheck.current_dir(project_root()).args(["--severity", "style"]).args(scripts.lines());
    assert!(scripts.lines().count() > 0);
    assert_eq!(succeed(shellcheck), "");
}

#[test]
fn systemd_takes_the_unit_and_finds_it_well_shut() {
    let folder = scratch_folder("unit").unwrap();
    let unit = folder.join("roomcast.service");
    let text = document("deploy/systemd/roomcast.service");
    // Where the program would be installed there is none.
    std::fs::write(&unit, text.replace("/usr/local/bin/roomcast", BINARY)).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]).arg(&unit);
    assert_eq!(succeed(verify), "");
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE_MAX]).arg(&unit);
    succeed(security);
}
