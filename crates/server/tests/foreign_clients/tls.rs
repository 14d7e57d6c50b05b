//! TLS on the public port: curl and Node.js over HTTP/1.1 and HTTP/2, certificates by name, and
//! certificates that are replaced while clients are connected.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;

use roomcast_bench::http::{connect, read_response};
use rustix::process::Signal;
use xtask::{Authority, Node, wait_until};

use crate::content::Content;
use crate::curl::{CurlStream, curl};
use crate::sockets::Sockets;

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// What a node on this machine is called.
const HERE: &[&str] = &["127.0.0.1", "localhost"];

fn start(certificates: &str) -> Node {
    Node::start(BINARY, &["--set", &format!("tls.certificates={certificates}")]).unwrap()
}

/// Runs curl to its end. `name` is asked for, and is this machine.
fn fetch(authority: &Authority, port: u16, name: &str, path: &str, options: &[&str]) -> Output {
    let mut command = curl();
    command.arg("--cacert").arg(authority.file()).args(options);
    command.args(["--resolve", &format!("{name}:{port}:127.0.0.1")]);
    command.arg(format!("https://{name}:{port}{path}")).output().unwrap()
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused_tls(node: &Node) -> f64 {
    node.metric("roomcast_connections_refused_total", "tls").unwrap()
}

#[test]
fn every_transport_works_over_tls() {
    let authority = Authority::new().unwrap();
    let node = start(&authority.issue("node", HERE, 2050).unwrap().setting());
    let (port, ca) = (node.port(), authority.file());
    let url = format!("https://127.0.0.1:{port}/sse?room=a");
    let mut streams = ["--http1.1", "--http2"]
        .map(|version| CurlStream::open_url(&url, &["--cacert", ca.to_str().unwrap(), version]));
    assert_eq!(streams[0].status_line, "HTTP/1.1 200 OK");
    assert_eq!(streams[1].status_line, "HTTP/2 200");
    let mut sockets = Sockets::tls("ws.mjs", &ca, port, "/ws?room=a", 3);
    let mut http2 = Sockets::tls("h2.mjs", &ca, port, "/ws?room=a", 3);

    // Also what takes many records, and what fills the buffers of TLS.
    let contents = [Content::text("größe"), Content::text(""), Content::text("x".repeat(64 * 1024))];
    for content in &contents {
        sockets.send(0, content);
        (1..3).for_each(|n| assert_eq!(sockets.message(n), *content));
        (0..3).for_each(|n| assert_eq!(http2.message(n), *content));
        http2.send(1, content);
        (0..3).for_each(|n| assert_eq!(sockets.message(n), *content));
        [0, 2].into_iter().for_each(|n| assert_eq!(http2.message(n), *content));
        for stream in &mut streams {
            assert_eq!((stream.message(), stream.message()), (content.clone(), content.clone()));
        }
    }
    for version in ["--http1.1", "--http2"] {
        let post = [version, "-H", "Content-Type: text/plain", "-d", "posted"];
        assert_eq!(text(&fetch(&authority, port, "localhost", "/rooms/a/messages", &post)), "{\"id\":null}");
        streams.iter_mut().for_each(|stream| assert_eq!(stream.message(), Content::text("posted")));
        (0..3).for_each(|n| assert_eq!(sockets.message(n), Content::text("posted")));
        (0..3).for_each(|n| assert_eq!(http2.message(n), Content::text("posted")));
        let empty = text(&fetch(&authority, port, "localhost", "/poll?room=b&wait=0", &[version]));
        assert!(empty.starts_with("{\"messages\":[]"), "{empty}");
    }
    sockets.finish();
    http2.finish();
    assert_eq!(node.metric("roomcast_certificate_expiry_seconds", "").unwrap(), 2_524_608_000.0);
}

#[test]
fn the_name_that_is_asked_for_decides_which_certificate_is_shown() {
    let authority = Authority::new().unwrap();
    let setting = [("here", HERE), ("one", &["one.example"]), ("all", &["*.all.example"])]
        .map(|(file, names)| authority.issue(file, names, 2050).unwrap().setting())
        .join(",");
    let node = start(&setting);
    for name in ["localhost", "one.example", "any.all.example"] {
        text(&fetch(&authority, node.port(), name, "/", &[]));
    }
    for name in ["two.example", "all.example", "too.deep.all.example"] {
        let refused = fetch(&authority, node.port(), name, "/", &[]);
        assert_eq!(refused.status.code(), Some(60), "{name} gets the first one, which is not for it");
    }
    // curl's own library is told to be less strict, so that it is the node that refuses.
    let relaxed = ["--ciphers", "DEFAULT@SECLEVEL=0", "--tlsv1.0"];
    let version = |max| fetch(&authority, node.port(), "localhost", "/", &[&relaxed[..], max].concat());
    text(&version(&["--tls-max", "1.3"]));
    text(&version(&["--tls-max", "1.2"]));
    let old = version(&["--tls-max", "1.1"]);
    let said = String::from_utf8_lossy(&old.stderr).into_owned();
    assert_eq!(old.status.code(), Some(35), "{said}");
    assert!(said.contains("alert"), "the node itself refuses: {said}");
    // curl looks at names after the handshake, so that only the last one has failed here.
    wait_until("it is counted", || refused_tls(&node) == 1.0);
}

/// Kubernetes has a link to a folder of this version, and turns it.
fn turn(link: &Path, folder: &Path) {
    let new = link.with_extension("new");
    symlink(folder, &new).unwrap();
    std::fs::rename(&new, link).unwrap();
}

#[test]
fn certificates_are_replaced_without_dropping_a_connection() {
    let authority = Authority::new().unwrap();
    let [old, new] = ["old", "new"].map(|name| authority.folder().join(name));
    for (folder, until) in [(&old, 2041), (&new, 2042)] {
        std::fs::create_dir(folder).unwrap();
        let issued = authority.issue("node", HERE, until).unwrap();
        std::fs::rename(issued.certificate, folder.join("tls.crt")).unwrap();
        std::fs::rename(issued.key, folder.join("tls.key")).unwrap();
    }
    let link = authority.folder().join("data");
    turn(&link, &old);
    let certificates = format!("tls.certificates = [\"{0}/tls.crt:{0}/tls.key\"]", link.display());
    let config = authority.folder().join("roomcast.toml");
    std::fs::write(&config, certificates).unwrap();
    let node = Node::start(BINARY, &["--config", config.to_str().unwrap()]).unwrap();
    let expiry = || node.metric("roomcast_certificate_expiry_seconds", "").unwrap();
    let [in_2041, in_2042, in_2043] = [2_240_611_200.0, 2_272_147_200.0, 2_303_683_200.0];
    assert_eq!(expiry(), in_2041);
    let ca = authority.file();
    let url = format!("https://127.0.0.1:{}/sse?room=a", node.port());
    let mut stream = CurlStream::open_url(&url, &["--cacert", ca.to_str().unwrap()]);
    let mut sockets = Sockets::tls("ws.mjs", &ca, node.port(), "/ws?room=a", 2);
    let mut messages_flow = |content: &str| {
        let options = ["-H", "Content-Type: text/plain", "-d", content];
        text(&fetch(&authority, node.port(), "localhost", "/rooms/a/messages", &options));
        assert_eq!(stream.message(), Content::text(content));
        (0..2).for_each(|n| assert_eq!(sockets.message(n), Content::text(content)));
    };
    messages_flow("with the first");

    turn(&link, &new);
    wait_until("the link was seen to be turned", || expiry() == in_2042);
    messages_flow("with the second");

    std::fs::write(new.join("tls.crt"), "not a certificate").unwrap();
    wait_until("the broken file was reported", || node.output().contains("new certificates cannot be used"));
    messages_flow("with the second still");
    assert_eq!(expiry(), in_2042);

    let other = authority.issue("other", HERE, 2043).unwrap();
    std::fs::write(&config, format!("tls.certificates = [\"{}\"]", other.setting())).unwrap();
    node.signal(Signal::HUP).unwrap();
    wait_until("the configuration was loaded anew", || expiry() == in_2043);
    messages_flow("with the third");
    assert_eq!(node.output().matches("new certificates cannot be used").count(), 1);

    std::fs::write(&config, "tls.certificates = [\"/nowhere.pem\"]").unwrap();
    node.signal(Signal::HUP).unwrap();
    wait_until("the configuration was refused", || node.output().contains("/nowhere.pem cannot be read"));
    messages_flow("with the third still");
}

#[test]
fn who_does_not_speak_tls_is_sent_away() {
    let authority = Authority::new().unwrap();
    let node = start(&authority.issue("node", HERE, 2050).unwrap().setting());
    let mut silent = connect(node.port()).unwrap();
    // The head of a record with a handshake of 512 bytes, of which the first has come.
    let mut slow = connect(node.port()).unwrap();
    slow.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();

    let mut plain = connect(node.port()).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let answer = read_response(&mut std::io::BufReader::new(plain)).unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());

    for stream in [&mut silent, &mut slow] {
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert_eq!(said, b"", "ended without a word");
    }
    wait_until("all three are counted", || refused_tls(&node) == 3.0);
}
