//! The interface as browsers see it: a list made after the Web Platform Tests for eventsource, websockets and cors, each with what the
//! gateway must do, run in headless Chromium. The list is in `tests/foreign/web_platform`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};
use xtask::{Node, Redis, foreign, free_port, project_root};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// How many items each chapter of the list has, so that none is dropped unnoticed.
const ITEMS: [(&str, usize); 6] =
    [("closing", 27), ("crossOrigin", 12), ("events", 19), ("lives", 6), ("payloads", 11), ("sockets", 18)];

/// Codes that no page can provoke, because its browser sends no such frames: `tests/autobahn` has them.
const NOT_BY_A_PAGE: [u64; 2] = [1002, 1007];

/// The nodes by name, with what is special about them. Those on Redis share their rooms.
fn nodes(redis: &str, pages: u16) -> BTreeMap<&'static str, Node> {
    let listed = format!("cors.origins=http://127.0.0.1:{pages}");
    let key = format!("auth.keys=HS256:text:{SECRET}");
    // Nobody listens there.
    let nowhere = format!("redis://127.0.0.1:{}", free_port());
    let common = ["--set", "namespaces.default.history=1000", "--set", "namespaces.plain.history=0"];
    let start = |broker: &[&str], settings: &[&str]| {
        let settings = settings.iter().flat_map(|setting| ["--set", *setting]);
        let arguments: Vec<_> = common.into_iter().chain(broker.iter().copied()).chain(settings).collect();
        Node::start_unready(BINARY, &arguments).unwrap()
    };
    let redis = ["--redis", redis];
    let guarded = [
        &*listed,
        &*key,
        "auth.leeway=0s",
        "auth.cookie=session",
        "limits.connections_per_user=2",
        "limits.messages_per_second=20",
        "namespaces.backend.publish=server",
        "websocket.deflate.enabled=true",
    ];
    let nodes = BTreeMap::from([
        ("one", start(&redis, &[&listed])),
        ("killed", start(&redis, &[])),
        ("drained", start(&redis, &["drain.window=1s"])),
        ("guarded", start(&redis, &guarded)),
        ("any", start(&[], &["cors.origins=*"])),
        ("patient", start(&[], &["sse.retry=4s", "server.heartbeat=1s"])),
        ("narrow", start(&[], &["limits.outbox_bytes=128KiB"])),
        ("leaving", start(&[], &["drain.window=1s"])),
        ("stopped", start(&[], &["drain.window=1h"])),
    ]);
    nodes.values().for_each(Node::wait_until_ready);
    let brokerless = start(&["--redis", &nowhere], &[&listed, "broker.timeout=1s"]);
    nodes.into_iter().chain([("brokerless", brokerless)]).collect()
}

#[test]
fn the_gateway_does_what_the_web_platform_expects() {
    let redis = Redis::start().unwrap();
    let pages = free_port();
    let mut nodes = nodes(&redis.url(), pages);
    let ports: BTreeMap<_, _> = nodes
        .iter()
        .map(|(name, node)| (*name, json!({ "port": node.port(), "admin": node.admin_port() })))
        .collect();
    let world = json!({ "nodes": ports, "pages": pages, "redis": redis.url(), "secret": SECRET });
    let mut command = foreign::prepare().unwrap().node("web_platform/main.mjs");
    let mut browser =
        command.arg(world.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = browser.stdin.take().unwrap();
    let mut items = Vec::new();
    for line in BufReader::new(browser.stdout.take().unwrap()).lines() {
        let said: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if said["item"].is_object() {
            println!("{} {}: {} ms", said["item"]["chapter"], said["item"]["must"], said["item"]["ms"]);
            items.push(said["item"].clone());
            continue;
        }
        if let Some(name) = said["kill"].as_str() {
            nodes.get_mut(name).unwrap().kill();
        } else {
            nodes[said["term"].as_str().unwrap()].signal(Signal::TERM).unwrap();
        }
        writeln!(input, "done").unwrap();
    }
    assert!(browser.wait().unwrap().success());
    let wrong: Vec<_> = items.iter().filter(|item| !item["wrong"].is_null()).collect();
    for item in &wrong {
        println!("{}: the gateway must {}\n{}", item["wpt"], item["must"], item["wrong"].as_str().unwrap());
    }
    assert!(wrong.is_empty(), "{} of {} do not hold", wrong.len(), items.len());
    every_item_was_there(&items);
    every_close_code_was_there(&items);
}

fn every_item_was_there(items: &[Value]) {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item["chapter"].as_str().unwrap()).or_insert(0) += 1;
        let names = item["wpt"].as_array().unwrap();
        assert!(names.iter().all(|name| name.as_str().is_some_and(|name| name.contains('/'))), "{item}");
    }
    assert_eq!(counts, BTreeMap::from(ITEMS));
}

/// Those of the table in the documentation.
fn every_close_code_was_there(items: &[Value]) {
    let page = std::fs::read_to_string(project_root().join("docs/protocol.md")).unwrap();
    let table = page.split("| code | meaning |").nth(1).unwrap().split("\n\n").next().unwrap();
    let codes = table.lines().filter_map(|line| line.split('|').nth(1));
    let listed: BTreeSet<u64> =
        codes.flat_map(|codes| codes.split(", ")).filter_map(|code| code.trim().parse().ok()).collect();
    let provoked = items.iter().filter_map(|item| item["code"].as_u64());
    assert_eq!(provoked.chain(NOT_BY_A_PAGE).collect::<BTreeSet<_>>(), listed);
    assert!(listed.len() > 10);
}
