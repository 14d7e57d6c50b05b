//! The admin listener behind TLS, with and without client certificates.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::process::{Command, Output};

use roomcast_bench::http::connect;
use xtask::authority::Issued;
use xtask::{Authority, Node, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

const PATHS: [&str; 4] = ["/livez", "/readyz", "/metrics", "/api/nodes"];

fn fetch(node: &Node, authority: &Authority, path: &str, client: Option<&Issued>) -> Output {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--noproxy", "*", "-w", "\n%{http_code} %{http_version}"]);
    command.arg("--cacert").arg(authority.file());
    if let Some(Issued { certificate, key }) = client {
        command.arg("--cert").arg(certificate).arg("--key").arg(key);
    }
    command.arg(format!("https://localhost:{}{path}", node.admin_port())).output().unwrap()
}

fn answer(output: &Output) -> Option<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    output.status.success().then(|| text.rsplit_once('\n').unwrap().1.to_owned())
}

fn start(settings: &[String]) -> Node {
    let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", &**setting]).collect();
    Node::start_unready(BINARY, &arguments).unwrap()
}

#[test]
fn everything_is_behind_tls() {
    let authority = Authority::new().unwrap();
    let issued = authority.issue("admin", &["localhost"], 2050).unwrap();
    let node = start(&[format!("admin.tls.certificates={}", issued.setting())]);
    for path in PATHS {
        // curl would rather speak HTTP/2.
        wait_until(path, || answer(&fetch(&node, &authority, path, None)).as_deref() == Some("200 1.1"));
    }
    let metrics = String::from_utf8(fetch(&node, &authority, "/metrics", None).stdout).unwrap();
    assert!(
        metrics.contains("roomcast_certificate_expiry_seconds{listener=\"admin\"} 2524608000\n"),
        "{metrics}"
    );
    let mut plain = connect(node.admin_port()).unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn only_those_with_a_certificate_are_answered() {
    let [ours, foreign] = [(); 2].map(|()| Authority::new().unwrap());
    let issued = ours.issue("admin", &["localhost"], 2050).unwrap();
    let known = ours.issue("prometheus", &["prometheus"], 2050).unwrap();
    let stranger = foreign.issue("stranger", &["prometheus"], 2050).unwrap();
    let trusted = ours.folder().join("clients.pem");
    std::fs::copy(ours.file(), &trusted).unwrap();
    let node = start(&[
        format!("admin.tls.certificates={}", issued.setting()),
        format!("admin.tls.client_ca={}", trusted.display()),
    ]);
    for path in PATHS {
        wait_until(path, || answer(&fetch(&node, &ours, path, Some(&known))).as_deref() == Some("200 1.1"));
        for client in [None, Some(&stranger)] {
            let refused = fetch(&node, &ours, path, client);
            assert_eq!(answer(&refused), None, "{path} {client:?}");
            assert!(String::from_utf8_lossy(&refused.stderr).contains("alert"), "{refused:?}");
        }
    }
    // Another authority is trusted from now on, and the first one no more.
    std::fs::copy(foreign.file(), &trusted).unwrap();
    let may = |client| answer(&fetch(&node, &ours, "/livez", Some(client))).is_some();
    wait_until("the file is read again", || may(&stranger));
    assert!(!may(&known));
}
