//! Who is in a room, on three nodes with a real Redis: seen by clients, over HTTP and by operators.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use roomcast_bench::{SseClient, WsClient, request};
use rustix::process::Signal;
use serde_json::{Value, json};
use xtask::process::wait_until;
use xtask::{Node, Redis};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

fn nodes(redis: &Redis, count: usize) -> Vec<Node> {
    let url = redis.url();
    let arguments =
        ["--redis", &url, "--set", "namespaces.default.presence=true", "--set", "drain.window=1s"];
    (0..count).map(|_| Node::start(BINARY, &arguments).unwrap()).collect()
}

fn subscribe(client: &mut WsClient, room: &str) {
    client.send_text(&json!({"type": "subscribe", "room": room, "presence": true}).to_string()).unwrap();
    assert_eq!(next(client)["type"], "subscribed");
}

fn next(client: &mut WsClient) -> Value {
    serde_json::from_str(&client.message().unwrap().text()).unwrap()
}

/// Ids of connections in a list of members.
fn ids(members: &Value) -> Vec<String> {
    let mut ids: Vec<_> =
        members.as_array().unwrap().iter().map(|m| m["connection"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Reads pushes until `count` have joined and left in all; gives them.
fn changes(client: &mut WsClient, count: usize) -> (Vec<String>, Vec<String>) {
    let (mut joined, mut left) = (Vec::new(), Vec::new());
    while joined.len() + left.len() < count {
        let push = next(client);
        assert_eq!((&push["type"], &push["room"]), (&json!("presence"), &json!("r")), "{push}");
        joined.extend(ids(&push["joined"]));
        left.extend(ids(&push["left"]));
    }
    joined.sort();
    left.sort();
    (joined, left)
}

/// What HTTP says about who is there.
fn listed(port: u16, path: &str) -> Vec<String> {
    let answer = request(port, "GET", path, &[], b"").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(answer["total"], answer["members"].as_array().unwrap().len());
    ids(&answer["members"])
}

#[test]
fn members_of_all_nodes_are_seen_everywhere() {
    let redis = Redis::start().unwrap();
    let mut nodes = nodes(&redis, 3);
    let mut watcher = WsClient::json(nodes[0].port(), "/ws").unwrap();
    subscribe(&mut watcher, "r");
    // What the watcher believes; its own joining comes with the list or right after it.
    let first = next(&mut watcher);
    assert_eq!((&first["type"], &first["room"]), (&json!("members"), &json!("r")));
    let mut seen = ids(&first["members"]);
    if seen.is_empty() {
        seen = changes(&mut watcher, 1).0;
    }
    assert_eq!(seen.len(), 1);

    let stream = SseClient::open(nodes[1].port(), "/sse?room=r").unwrap();
    let raw = WsClient::raw(nodes[2].port(), "/ws?room=r").unwrap();
    let (joined, left) = changes(&mut watcher, 2);
    assert!(left.is_empty());
    seen.extend(joined.clone());
    seen.sort();
    for node in &nodes {
        assert_eq!(listed(node.port(), "/rooms/r/presence"), seen);
        assert_eq!(listed(node.admin_port(), "/api/rooms/r/presence"), seen);
    }
    watcher.send_text(r#"{"type":"presence","room":"r","ref":7}"#).unwrap();
    let answer = next(&mut watcher);
    assert_eq!(
        (&answer["type"], &answer["ref"], &answer["total"]),
        (&json!("members"), &json!(7), &json!(3))
    );
    assert_eq!(ids(&answer["members"]), seen);

    // One goes by itself, one with its node, without a word; each leaves once.
    drop(stream);
    let (none, gone) = changes(&mut watcher, 1);
    assert!(none.is_empty() && joined.contains(&gone[0]));
    nodes[2].kill();
    let (none, also_gone) = changes(&mut watcher, 1);
    assert!(none.is_empty() && joined.contains(&also_gone[0]) && gone != also_gone);
    drop(raw);
    assert_eq!(listed(nodes[1].port(), "/rooms/r/presence").len(), 1);
    // A new member is the next thing that is heard.
    let late = WsClient::raw(nodes[1].port(), "/ws?room=r").unwrap();
    assert_eq!(changes(&mut watcher, 1).1, Vec::<String>::new());
    drop(late);
}

#[test]
fn a_node_that_ends_takes_its_members_along_and_watchers_elsewhere_hear_it() {
    let redis = Redis::start().unwrap();
    let mut nodes = nodes(&redis, 2);
    let mut watcher = WsClient::json(nodes[0].port(), "/ws").unwrap();
    subscribe(&mut watcher, "r");
    let _clients: Vec<_> = (0..20).map(|_| WsClient::raw(nodes[1].port(), "/ws?room=r").unwrap()).collect();
    wait_until("everyone is listed", || listed(nodes[0].port(), "/rooms/r/presence").len() == 21);
    nodes[1].signal(Signal::TERM).unwrap();
    nodes[1].wait(std::time::Duration::from_secs(30)).unwrap();
    wait_until("only the watcher is left", || listed(nodes[0].port(), "/rooms/r/presence").len() == 1);
    let (mut ever, mut there) = (BTreeSet::new(), BTreeSet::new());
    while ever.len() < 21 || there.len() > 1 {
        let push = next(&mut watcher);
        let joined = if push["type"] == "members" { &push["members"] } else { &push["joined"] };
        for id in ids(joined) {
            assert!(there.insert(id.clone()) && ever.insert(id), "joined twice: {push}");
        }
        if push["type"] == "presence" {
            ids(&push["left"]).iter().for_each(|id| assert!(there.remove(id), "left twice: {push}"));
        }
    }
}

#[test]
fn idle_connections_cost_redis_nothing() {
    const IDLE: usize = 500;
    let redis = Redis::start().unwrap();
    let nodes = nodes(&redis, 1);
    let mut idle = Vec::new();
    for i in 0..IDLE {
        let target = format!("/sse?room=r{}", i % 50);
        idle.push(SseClient::open(nodes[0].port(), &target).unwrap());
    }
    wait_until("everyone is listed", || {
        (0..50).map(|room| listed(nodes[0].port(), &format!("/rooms/r{room}/presence")).len()).sum::<usize>()
            == IDLE
    });
    let before = calls(&redis);
    // Three renewals of the one lease of the node.
    let renewals = |calls: &BTreeMap<String, u64>| calls.get("zadd").copied().unwrap_or_default();
    wait_until("the lease is renewed", || renewals(&calls(&redis)) >= renewals(&before) + 3);
    let after = calls(&redis);
    let more = |name: &str| after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
    println!("while {IDLE} connections were idle for three renewals: {:?}", {
        after.keys().filter(|name| more(name) > 0).map(|name| (name, more(name))).collect::<Vec<_>>()
    });
    // Renewals, probes, pings, what the node says of its share of all connections, and this test's own questions.
    let renewal = ["fcall", "zadd", "zscore", "zrangebyscore", "time"];
    let expected = [&renewal[..], &["publish", "ping", "info", "hset", "hgetall", "pexpire"]].concat();
    for name in after.keys().filter(|name| !expected.contains(&&***name)) {
        assert_eq!(more(name), 0, "{name} was called for idle connections");
    }
    // Its share it says less often than it renews.
    assert!(more("hset") <= more("zadd") && more("hgetall") == more("hset"));
    assert!(more("fcall") <= more("zadd") + more("hset") + 1);
}

/// Reads until `count` members are known from the list and from pushes; gives how many messages that took.
fn meets(watcher: &mut WsClient, count: usize) -> (usize, usize) {
    let (mut there, mut lists, mut pushes) = (BTreeSet::new(), 0, 0);
    while there.len() < count {
        let message = next(watcher);
        let joined = if message["type"] == "members" {
            lists += 1;
            &message["members"]
        } else {
            pushes += 1;
            assert_eq!(message["left"], json!([]), "nobody has left");
            &message["joined"]
        };
        let bytes = message.to_string().len();
        assert!(bytes < 80_000, "{bytes} bytes in one message");
        for id in ids(joined) {
            assert!(there.insert(id), "joined twice");
        }
    }
    (lists, pushes)
}

#[test]
fn a_storm_costs_watchers_and_redis_little() {
    const CLIENTS: usize = 2000;
    const WATCHERS: usize = 20;
    let redis = Redis::start().unwrap();
    let nodes = nodes(&redis, 2);
    let mut watchers: Vec<_> =
        (0..WATCHERS).map(|i| WsClient::json(nodes[i % 2].port(), "/ws").unwrap()).collect();
    watchers.iter_mut().for_each(|watcher| subscribe(watcher, "r"));
    wait_until("the watchers are there", || listed(nodes[0].port(), "/rooms/r/presence").len() == WATCHERS);
    let (before, begin) = (calls(&redis), std::time::Instant::now());
    let ports = [nodes[0].port(), nodes[1].port()];
    let joiners: Vec<_> = (0..8)
        .map(|thread| {
            let join = move |i| SseClient::open(ports[(thread + i) % 2], "/sse?room=r").unwrap();
            std::thread::spawn(move || (0..CLIENTS / 8).map(join).collect::<Vec<_>>())
        })
        .collect();
    let costs: Vec<_> = watchers.iter_mut().map(|watcher| meets(watcher, CLIENTS + WATCHERS)).collect();
    let took = begin.elapsed();
    let after = calls(&redis);
    let more = |name: &str| after.get(name).unwrap_or(&0) - before.get(name).unwrap_or(&0);
    let rows: Vec<_> = after.keys().filter(|name| more(name) > 0).map(|name| (name, more(name))).collect();
    println!("{CLIENTS} clients joined in {took:?}; lists and pushes per watcher {costs:?}; Redis: {rows:?}");
    // A push for every tenth of a second and node's wave, and one more for every 64 KiB; and a function for every
    // 20 ms on each node, and one more for every hundred members.
    let tenths = took.as_millis() as usize / 100;
    assert!(costs.iter().all(|(lists, pushes)| *lists == 1 && *pushes <= tenths + 10), "{costs:?}");
    let calls_max = took.as_millis() as u64 / 10 + CLIENTS as u64 / 100 + 20;
    assert!(more("fcall") <= calls_max && more("hgetall") <= 4, "{rows:?}");
    drop(joiners.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>());
}

#[test]
fn watchers_that_come_all_at_once_are_told_in_waves() {
    // As many as one list takes.
    const CLIENTS: usize = 600;
    let node = Node::start(BINARY, &["--set", "namespaces.default.presence=true"]).unwrap();
    let mut first = WsClient::json(node.port(), "/ws").unwrap();
    subscribe(&mut first, "r");
    let (begin, port) = (std::time::Instant::now(), node.port());
    let others: Vec<_> = (0..8)
        .map(|_| {
            let join = move |_| {
                let mut client = WsClient::json(port, "/ws").unwrap();
                subscribe(&mut client, "r");
                client
            };
            std::thread::spawn(move || (0..CLIENTS / 8).map(join).collect::<Vec<_>>())
        })
        .collect();
    let (lists, pushes) = meets(&mut first, CLIENTS + 1);
    let took = begin.elapsed();
    println!("{CLIENTS} watchers came in {took:?}: the first of them got {lists} list, {pushes} pushes");
    assert!(lists == 1 && pushes <= took.as_millis() as usize / 100 + 10, "{pushes} pushes");
    // Each of them gets to know all.
    let mut others: Vec<_> = others.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    for client in &mut others {
        assert_eq!(meets(client, CLIENTS + 1).0, 1);
    }
}

/// How often Redis has carried out each command.
fn calls(redis: &Redis) -> BTreeMap<String, u64> {
    let stats = redis.command(&[b"INFO", b"commandstats"]).unwrap();
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((name.to_owned(), rest.split(',').next()?.parse().ok()?))
    };
    stats.lines().filter_map(row).collect()
}

#[test]
fn where_presence_is_off_nobody_is_told() {
    let node = Node::start(BINARY, &["--set", "namespaces.open.presence=true"]).unwrap();
    let mut client = WsClient::json(node.port(), "/ws").unwrap();
    for command in [
        r#"{"type":"subscribe","room":"closed","presence":true}"#,
        r#"{"type":"presence","room":"closed"}"#,
        r#"{"type":"presence","room":"closed:1"}"#,
    ] {
        client.send_text(command).unwrap();
        let answer = next(&mut client);
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("not_found")), "{answer}");
    }
    assert_eq!(request(node.port(), "GET", "/rooms/closed/presence", &[], b"").unwrap().status, 404);
    assert_eq!(request(node.port(), "GET", "/rooms/a%20b/presence", &[], b"").unwrap().status, 400);
    assert_eq!(request(node.port(), "POST", "/rooms/open:1/presence", &[], b"").unwrap().status, 405);
    assert_eq!(listed(node.port(), "/rooms/open:1/presence"), Vec::<String>::new());
    // Without asking for it one hears of nobody.
    client.send_text(r#"{"type":"subscribe","room":"open:1"}"#).unwrap();
    assert_eq!(next(&mut client)["type"], "subscribed");
    let _other = WsClient::raw(node.port(), "/ws?room=open:1").unwrap();
    wait_until("both are there", || listed(node.port(), "/rooms/open:1/presence").len() == 2);
    client.send_text(r#"{"type":"ping"}"#).unwrap();
    assert_eq!(next(&mut client)["type"], "pong");
}
