//! The doctor finds what is wrong with a real Redis and a real proxy, and nothing where nothing is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;

use serde_json::Value;
use xtask::{Balancer, Kind, Node, Redis, free_port, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// What the doctor says as JSON, and its exit code.
fn examine(arguments: &[&str]) -> (Value, i32) {
    let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let output =
        Command::new(BINARY).args(["doctor", "--json"]).args(ports).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    (value, output.status.code().unwrap())
}

/// States and messages of one check.
fn findings(report: &Value, check: &str) -> Vec<(String, String)> {
    let all = report["findings"].as_array().unwrap().iter();
    let of_check = all.filter(|finding| finding["check"] == check);
    of_check
        .map(|finding| {
            let good = finding["state"] == "ok";
            assert_eq!(
                finding["remedy"].is_null(),
                good,
                "a remedy where there is something to do: {finding}"
            );
            (finding["state"].as_str().unwrap().to_owned(), finding["message"].as_str().unwrap().to_owned())
        })
        .collect()
}

fn state(report: &Value, check: &str) -> String {
    let found = findings(report, check);
    found.last().unwrap_or_else(|| panic!("no {check} in {report}")).0.clone()
}

const HISTORY: [&str; 2] = ["--set", "namespaces.default.history=10"];

#[test]
fn a_redis_as_it_should_be_and_one_as_it_should_not() {
    let redis = Redis::start_with(&["--appendonly", "yes"]).unwrap();
    let url = redis.url();
    let arguments = [&["--redis", &url][..], &HISTORY].concat();
    let (before, _) = examine(&arguments);
    assert_eq!(state(&before, "redis.functions"), "warn", "nobody has loaded them yet");
    let _node = Node::start(BINARY, &["--redis", &url]).unwrap();
    let (healthy, code) = examine(&arguments);
    let checks = ["redis", "version", "functions", "clock", "eviction", "output_buffer", "persistence"];
    for check in checks {
        let check = if check == "redis" { check.to_owned() } else { format!("redis.{check}") };
        assert_eq!(state(&healthy, &check), "ok", "{check}: {healthy}");
    }
    assert_eq!((healthy["good"].as_bool(), code), (Some(true), 0));

    for (name, value) in [
        ("maxmemory-policy", "allkeys-lru"),
        ("client-output-buffer-limit", "pubsub 0 0 0"),
        ("appendonly", "no"),
    ] {
        redis.command(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]).unwrap();
    }
    redis.command(&[b"FUNCTION", b"DELETE", b"roomcast_presence_v1"]).unwrap();
    let (sick, code) = examine(&arguments);
    let states = ["functions", "eviction", "output_buffer", "persistence"]
        .map(|check| state(&sick, &format!("redis.{check}")));
    assert_eq!(states, ["warn", "fail", "warn", "warn"], "{sick}");
    assert!(findings(&sick, "redis.functions")[0].1.contains("roomcast_presence_v1"), "{sick}");
    assert_eq!((sick["good"].as_bool(), code), (Some(false), 1));
    // Where nothing is kept, less is asked of Redis.
    let (plain, code) = examine(&["--redis", &url]);
    assert_eq!((state(&plain, "redis.eviction"), code), ("warn".to_owned(), 0));
    assert!(findings(&plain, "redis.persistence").is_empty());
}

#[test]
fn a_user_without_rights_to_functions_and_a_replica() {
    let redis = Redis::start().unwrap();
    let rule = b"ACL SETUSER weak on >secret allkeys allchannels +@all -function";
    let parts: Vec<&[u8]> = rule.split(|byte| *byte == b' ').collect();
    assert_eq!(redis.command(&parts).unwrap().trim(), "+OK");
    let url = format!("redis://weak:secret@127.0.0.1:{}", redis.port());
    let (report, code) = examine(&[&["--redis", &url][..], &HISTORY].concat());
    assert_eq!((state(&report, "redis.functions"), code), ("fail".to_owned(), 1));

    let replica = Redis::start().unwrap();
    let port = redis.port().to_string();
    replica.command(&[b"REPLICAOF", b"127.0.0.1", port.as_bytes()]).unwrap();
    let (report, code) = examine(&["--redis", &replica.url()]);
    assert_eq!((state(&report, "redis.role"), code), ("fail".to_owned(), 1));
}

#[test]
fn what_was_asked_wrongly() {
    let output = Command::new(BINARY).args(["doctor", "--url", "rt.example"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("https://rt.example"), "{output:?}");
    let output = Command::new(BINARY).args(["doctor", "--set", "no.such=1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// What a proxy does that is set up badly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It passes on an answer when it has all of it, or this many bytes.
    Buffers(usize),
    /// It does not know of upgrades, and leaves out what asks for them.
    NoUpgrade,
}

/// A proxy in front of a node; gives its port.
fn bad_proxy(node: u16, fault: Fault) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", node))) else {
                continue;
            };
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || forward(from, to, 0, fault == Fault::NoUpgrade));
            let held = if let Fault::Buffers(held) = fault { held } else { 0 };
            std::thread::spawn(move || forward(server, client, held, false));
        }
    });
    port
}

/// Passes on when more than `held` bytes have come, or at the end.
fn forward(mut from: TcpStream, mut to: TcpStream, held: usize, strip_upgrade: bool) {
    let (mut buffer, mut waiting) = ([0; 4096], Vec::new());
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        waiting.extend_from_slice(&buffer[..len]);
        if strip_upgrade {
            let text = String::from_utf8_lossy(&waiting).into_owned();
            let kept = text.split_inclusive("\r\n").filter(|line| {
                let line = line.to_ascii_lowercase();
                !line.starts_with("upgrade:") && !line.starts_with("connection: upgrade")
            });
            waiting = kept.collect::<String>().into_bytes();
        }
        if waiting.len() > held && to.write_all(&std::mem::take(&mut waiting)).is_err() {
            break;
        }
    }
    let _ = to.write_all(&waiting);
    let _ = to.shutdown(Shutdown::Write);
}

fn visit(port: u16, arguments: &[&str]) -> (Value, i32) {
    let url = format!("http://127.0.0.1:{port}");
    examine(&[&["--url", &url], arguments].concat())
}

#[test]
fn a_way_in_that_passes_everything_on() {
    let node = Node::start(BINARY, &[]).unwrap();
    let others = [0, 1].map(|_| free_port());
    let nodes = [(node.port(), node.admin_port()), (others[0], others[0]), (others[1], others[1])];
    for kind in [Kind::Haproxy, Kind::Nginx] {
        let balancer = Balancer::start(kind, &nodes).unwrap();
        wait_until("the balancer serves", || {
            roomcast_bench::request(balancer.port(), "GET", "/", &[], b"")
                .is_ok_and(|answer| answer.status == 200)
        });
        let (report, code) = visit(balancer.port(), &[]);
        let states: Vec<_> = findings(&report, "public.sse").into_iter().map(|(state, _)| state).collect();
        assert_eq!(states, ["ok", "ok"], "{kind:?}: {report}");
        assert_eq!((state(&report, "public.websocket"), code), ("ok".to_owned(), 0), "{kind:?}: {report}");
    }
}

#[test]
fn a_proxy_that_holds_back_and_one_that_does_not_upgrade() {
    let node = Node::start(BINARY, &[]).unwrap();
    let ways = [
        bad_proxy(node.port(), Fault::Buffers(64 * 1024)),
        // The first event makes its way out, what follows does not.
        bad_proxy(node.port(), Fault::Buffers(300)),
        bad_proxy(node.port(), Fault::NoUpgrade),
        free_port(),
    ];
    // Side by side: each waits for what does not come.
    let visits = ways.map(|port| std::thread::spawn(move || visit(port, &["--set", "server.heartbeat=1s"])));
    let [all, some, no_upgrade, nobody] = visits.map(|visit| visit.join().unwrap());
    for (report, code) in [&all, &some, &nobody] {
        assert_eq!((state(report, "public.sse"), *code), ("fail".to_owned(), 1), "{report}");
    }
    assert!(all.0.to_string().contains("proxy_buffering off"), "{}", all.0);
    assert!(some.0.to_string().contains("a published message has not come"), "{}", some.0);
    let (report, code) = no_upgrade;
    assert_eq!(state(&report, "public.sse"), "ok", "{report}");
    assert_eq!((state(&report, "public.websocket"), code), ("fail".to_owned(), 1), "{report}");
}

#[test]
fn where_nothing_may_be_published_the_heartbeat_tells() {
    let settings = ["--set", "namespaces.default.publish=server", "--set", "server.heartbeat=1s"];
    let node = Node::start(BINARY, &settings).unwrap();
    let heartbeat = ["--set", "server.heartbeat=1s"];
    let (report, code) = visit(node.port(), &heartbeat);
    let found = findings(&report, "public.sse");
    assert!(found[1].0 == "ok" && found[1].1.contains("403") && found[1].1.contains("heartbeat"), "{report}");
    assert_eq!(code, 0, "{report}");

    let key = "auth.keys=HS256:text:0123456789abcdef0123456789abcdef";
    let closed = Node::start(BINARY, &["--set", key]).unwrap();
    let (report, code) = visit(closed.port(), &[]);
    assert_eq!(code, 1);
    assert!(report.to_string().contains("--token"), "{report}");
    let token = Command::new(BINARY)
        .args(["token", "--sub", "d", "--subscribe", "*", "--publish", "*", "--set", key])
        .output()
        .unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let (report, code) = visit(closed.port(), &["--token", token.trim()]);
    assert_eq!(code, 0, "{report}");
}
