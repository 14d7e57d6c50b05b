//! Whose a connection is: behind haproxy with the PROXY protocol, and with `X-Forwarded-For`. Seen by the
//! limit of connections per address. Clients have loopback addresses of their own.

use std::io::{Read, Write};
use std::process::Output;

use roomcast_bench::http::connect;
use xtask::{Authority, Balancer, Kind, Node, free_port, wait_until};

use crate::curl::{CurlStream, curl};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// Where proxies are; clients are elsewhere.
const PROXY: &str = "server.trusted_proxies=127.0.0.1";
const ONE_EACH: &str = "limits.connections_per_address=1";

fn start(settings: &[&str]) -> Node {
    let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Node::start(BINARY, &arguments).unwrap()
}

fn refused(node: &Node, reason: &str) -> f64 {
    node.metric("roomcast_connections_refused_total", reason).unwrap()
}

/// haproxy in front of a node; `lines` go into its defaults, `server` behind the node's address.
fn haproxy(lines: &str, server: &str, node: &Node) -> Balancer {
    let (port, node) = (free_port(), node.port());
    let configuration = format!(
        "defaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  retries 0\n  {lines}\n\
         listen all\n  bind 127.0.0.1:{port}\n  server node 127.0.0.1:{node} {server}\n"
    );
    Balancer::start_with(Kind::Haproxy, port, &configuration).unwrap()
}

fn fetch(client: &str, url: &str, options: &[&str]) -> Output {
    let mut command = curl();
    command.args(["--interface", client, "-w", "%{http_code}"]).args(options).arg(url);
    command.output().unwrap()
}

#[track_caller]
fn status(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text[text.len().saturating_sub(3)..].to_owned()
}

/// One stream for each client, the second is refused, and the place is free again when it ends.
fn each_client_is_counted(balancer: &Balancer, refusal: &str, scheme: &str, options: &[&str]) {
    let url = format!("{scheme}://127.0.0.1:{}/sse?room=a", balancer.port());
    let open = |client| CurlStream::open_url(&url, &[options, &["--interface", client]].concat());
    let streams = ["127.0.0.5", "127.0.0.6"].map(open);
    for client in ["127.0.0.5", "127.0.0.6"] {
        let answer = fetch(client, &url, options);
        assert_eq!(status(&answer), refusal, "{client}: {answer:?}");
    }
    drop(streams);
    wait_until("the places are free again", || {
        let publish = url.replace("/sse?room=a", "/rooms/a/messages");
        status(&fetch("127.0.0.5", &publish, &[options, &["-d", "x"]].concat())) == "202"
    });
}

#[test]
fn the_proxy_protocol_says_whose_a_connection_is() {
    let node = start(&[PROXY, ONE_EACH, "server.proxy_protocol=required"]);
    for (count, version) in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"].into_iter().enumerate() {
        let balancer = haproxy("mode tcp", version, &node);
        each_client_is_counted(&balancer, "429", "http", &[]);
        assert!(refused(&node, "address") >= 2.0 * (count + 1) as f64, "{version}");
    }
    // Without the header, and with one from somebody who is not trusted.
    let before = refused(&node, "proxy");
    let answer = fetch("127.0.0.5", &format!("http://127.0.0.1:{}/", node.port()), &[]);
    assert_eq!(status(&answer), "000");
    let trusted_to_send_it =
        fetch("127.0.0.5", &format!("http://127.0.0.1:{}/", node.port()), &["--haproxy-protocol"]);
    assert_eq!(status(&trusted_to_send_it), "000");
    for garbage in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"PROXY TCP4 a b c d\r\n", &[b'P'; 4096]] {
        let mut stream = connect(node.port()).unwrap();
        let _ = stream.write_all(garbage);
        let mut answer = Vec::new();
        // The end, or a reset where not all was read.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    assert_eq!(refused(&node, "proxy") - before, 5.0);
    let address = format!("http://127.0.0.1:{}/", node.port());
    assert_eq!(status(&fetch("127.0.0.1", &address, &["--haproxy-protocol"])), "200");
}

#[test]
fn the_proxy_header_comes_before_tls() {
    let authority = Authority::new().unwrap();
    let certificate = authority.issue("node", &["127.0.0.1"], 2050).unwrap().setting();
    let tls = format!("tls.certificates={certificate}");
    let node = start(&[PROXY, ONE_EACH, "server.proxy_protocol=required", &tls]);
    let balancer = haproxy("mode tcp", "send-proxy-v2", &node);
    let ca = authority.file();
    for version in ["--http1.1", "--http2"] {
        // There is no saying why before the handshake.
        each_client_is_counted(&balancer, "000", "https", &["--cacert", ca.to_str().unwrap(), version]);
    }
    assert_eq!(refused(&node, "tls"), 0.0);
}

#[test]
fn forwarded_addresses_are_believed_where_the_proxy_is_trusted() {
    let node = start(&[PROXY, ONE_EACH]);
    let balancer = haproxy("mode http\n  option forwardfor\n  option abortonclose", "", &node);
    each_client_is_counted(&balancer, "429", "http", &[]);
    // What a client claims is not the last word.
    each_client_is_counted(&balancer, "429", "http", &["-H", "X-Forwarded-For: 203.0.113.9, lies"]);
    let answer = fetch("127.0.0.5", &format!("http://127.0.0.1:{}/", balancer.port()), &["-i"]);
    assert_eq!(status(&answer), "200");

    let direct = |client, header: &str| {
        fetch(
            client,
            &format!("http://127.0.0.1:{}/sse?room=a", node.port()),
            &["-m", "1", "-i", "-H", header],
        )
    };
    let garbage = direct("127.0.0.1", "X-Forwarded-For: unknown");
    assert_eq!(status(&garbage), "400");
    // Who is not trusted is himself, whatever he claims.
    let url = format!("http://127.0.0.1:{}/sse?room=a", node.port());
    let _own = CurlStream::open_url(&url, &["--interface", "127.0.0.5", "-H", "X-Forwarded-For: 192.0.2.1"]);
    let refused = direct("127.0.0.5", "X-Forwarded-For: 192.0.2.2");
    assert_eq!(status(&refused), "429");
    let text = String::from_utf8(refused.stdout).unwrap();
    assert!(text.contains("Retry-After: 1\r\n"), "{text}");
}
