//! The commands of `docs/examples/README.md`, run as they stand there, on other ports and with what the tests have installed.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use roomcast_bench::{Response, request};
use xtask::process::{kill_with_descendants, scratch_folder};
use xtask::{foreign, free_port, javascript, project_root, wait_until};

use crate::BINARY;

/// Ports that README.md and nginx.conf name; the first is that of the pages.
const PORTS: [u16; 7] = [8080, 8081, 8082, 8090, 9091, 9092, 6379];

/// A shell and all that it has started.
struct Shell(std::process::Child);

impl Drop for Shell {
    fn drop(&mut self) {
        kill_with_descendants(self.0.id());
        let _ = self.0.wait();
    }
}

/// A text with other ports.
fn on_ports(text: &str, ports: &[u16]) -> String {
    // In two steps, because a new port may look like another old one.
    let marked = PORTS
        .iter()
        .enumerate()
        .fold(text.to_owned(), |text, (n, port)| text.replace(&port.to_string(), &format!("<port {n}>")));
    ports
        .iter()
        .enumerate()
        .fold(marked, |text, (n, port)| text.replace(&format!("<port {n}>"), &port.to_string()))
}

/// The root of the repository, as far as the commands look at it.
fn lay_out(folder: &Path, ports: &[u16]) {
    let root = project_root();
    let examples = folder.join("docs/examples");
    std::fs::create_dir_all(&examples).unwrap();
    for name in ["chat", "shared"] {
        symlink(root.join("docs/examples").join(name), examples.join(name)).unwrap();
    }
    let nginx = std::fs::read_to_string(root.join("docs/examples/nginx.conf")).unwrap();
    std::fs::write(examples.join("nginx.conf"), on_ports(&nginx, ports)).unwrap();
    symlink(root.join("clients"), folder.join("clients")).unwrap();
    std::fs::create_dir_all(folder.join("target/release")).unwrap();
    symlink(BINARY, folder.join("target/release/roomcast")).unwrap();
}

#[test]
fn the_commands_for_doing_it_by_hand_work() {
    let readme = std::fs::read_to_string(project_root().join("docs/examples/README.md")).unwrap();
    let commands = readme.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    // What is installed and built first is what the harness does itself.
    let (install, run) = commands.split_once("\n\n").unwrap();
    let installs = [
        "cargo build --release",
        "npm ci && npm run build",
        "npm install --no-save --prefix docs/examples ioredis",
    ];
    assert!(installs.iter().all(|command| install.contains(command)), "{install}");
    foreign::prepare().unwrap();
    javascript::prepare().unwrap();

    let folder = scratch_folder("by-hand").unwrap();
    let ports = PORTS.map(|_| free_port());
    lay_out(&folder, &ports);
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap());
    let output = std::fs::File::create(folder.join("output")).unwrap();
    let shell = Command::new("sh")
        .args(["-ec", &on_ports(run, &ports)])
        .current_dir(&*folder)
        .env("PATH", path)
        .env("NODE_PATH", project_root().join("crates/server/tests/foreign/node_modules"))
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let _shell = Shell(shell);

    let ask = |method: &str, path: &str, headers: &[(&str, &str)]| -> Option<Response> {
        request(ports[0], method, path, headers, b"").ok().filter(|answer| answer.status == 200)
    };
    let mut token = String::new();
    wait_until("the backend gives out tokens", || {
        let answer = ask("POST", "/api/token?name=alice", &[]);
        answer.is_some_and(|answer| {
            // The answer may be in chunks, whose sizes stand between.
            let text = answer.text();
            token = text.split_whitespace().find(|word| word.starts_with("ey")).unwrap_or(&text).to_owned();
            true
        })
    });
    assert!(ask("GET", "/chat/", &[]).unwrap().text().contains("<h1>Chat</h1>"));
    assert!(ask("GET", "/sdk/index.js", &[]).unwrap().text().contains("connect"));
    let bearer = format!("Bearer {token}");
    let history = "/rooms/chat:lobby/history";
    wait_until("both nodes answer", || ask("GET", history, &[("Authorization", &bearer)]).is_some());
    let past = ask("GET", history, &[("Authorization", &bearer)]).unwrap().text();
    assert!(past.contains("alice has come in"), "{past}");
    // Only the pages themselves are for browsers.
    for path in ["/chat/backend.js", "/chat/roomcast.toml", "/nginx.conf", "/README.md"] {
        assert_eq!(request(ports[0], "GET", path, &[], b"").unwrap().status, 404, "{path}");
    }
}
