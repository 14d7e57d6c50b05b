//! Redis as it should be reached over a network: TLS both ways, a user who may do what is needed and no
//! more, and a password from a file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use roomcast_bench::{SseClient, WsClient, request};
use rustix::process::Signal;
use xtask::authority::Issued;
use xtask::{Authority, Node, Redis, free_port, project_root, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// The line of an ACL file that the documents recommend.
fn documented_user() -> String {
    let document = std::fs::read_to_string(project_root().join("docs/backends.md")).unwrap();
    let line = document.lines().find(|line| line.starts_with("user roomcast "));
    line.expect("docs/backends.md has the line").to_owned()
}

fn documented_rights() -> Vec<String> {
    documented_user().split(' ').filter_map(|rule| Some(rule.strip_prefix('+')?.to_owned())).collect()
}

/// The commands that the server was given, by clients and by functions.
fn called(redis: &Redis) -> HashSet<String> {
    let stats = redis.command(&[b"INFO", b"commandstats"]).unwrap();
    let names = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split(':').next());
    names.map(str::to_owned).collect()
}

struct Scene {
    authority: Authority,
    redis: Redis,
    tls_port: u16,
    settings: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new().unwrap();
        let [server, client] = [("redis", "localhost"), ("client", "node")]
            .map(|(name, subject)| authority.issue(name, &[subject], 2050).unwrap());
        let [acl, password] = ["users.acl", "password"].map(|name| authority.folder().join(name));
        std::fs::write(
            &acl,
            documented_user().replace("PASSWORD", "se:cr@et") + "\nuser default on nopass ~* &* +@all\n",
        )
        .unwrap();
        std::fs::write(&password, "se:cr@et\n").unwrap();
        let tls_port = free_port();
        let shown = |path: &std::path::Path| path.display().to_string();
        let Issued { certificate, key } = &server;
        let redis = Redis::start_with(&[
            "--tls-port",
            &tls_port.to_string(),
            "--tls-cert-file",
            &shown(certificate),
            "--tls-key-file",
            &shown(key),
            "--tls-ca-cert-file",
            &shown(&authority.file()),
            "--aclfile",
            &shown(&acl),
        ])
        .unwrap();
        let settings = [
            format!("broker.url=rediss://roomcast@localhost:{tls_port}"),
            format!("broker.password_file={}", shown(&password)),
            format!("broker.tls.ca={}", shown(&authority.file())),
            format!("broker.tls.certificate={}", shown(&client.certificate)),
            format!("broker.tls.key={}", shown(&client.key)),
            "namespaces.kept.history=100".to_owned(),
            "namespaces.kept.presence=true".to_owned(),
            "drain.window=1s".to_owned(),
            "broker.timeout=2s".to_owned(),
        ];
        Self { authority, redis, tls_port, settings: settings.into() }
    }

    fn arguments(&self) -> Vec<&str> {
        self.settings.iter().flat_map(|setting| ["--set", setting]).collect()
    }
}

#[test]
fn a_node_does_all_it_does_with_the_documented_rights() {
    let mut scene = Scene::new();
    let nodes = [(); 2].map(|()| Node::start(BINARY, &scene.arguments()).unwrap());
    let mut streams =
        nodes.each_ref().map(|node| SseClient::open(node.port(), "/sse?room=kept:a&room=b").unwrap());
    let mut socket = WsClient::raw(nodes[0].port(), "/ws?room=kept:a").unwrap();
    let mut messages_flow = |text: &str| {
        let [here, there] = nodes.each_ref().map(Node::port);
        wait_until("both nodes are ready", || nodes.iter().all(Node::is_ready));
        for room in ["kept:a", "b"] {
            let key = format!("{text} {room}");
            let answer = request(
                here,
                "POST",
                &format!("/rooms/{room}/messages"),
                &[("Idempotency-Key", &key)],
                text.as_bytes(),
            );
            assert_eq!(answer.unwrap().status, 202);
            streams.iter_mut().for_each(|stream| assert_eq!(stream.event().unwrap().data, text));
        }
        assert_eq!(socket.message().unwrap().text(), text);
        let history = request(there, "GET", "/rooms/kept:a/history", &[], b"").unwrap();
        assert!(history.text().contains(text), "{}", history.text());
    };
    messages_flow("at first");
    assert!(
        request(nodes[0].admin_port(), "GET", "/api/nodes", &[], b"")
            .unwrap()
            .text()
            .matches("\"id\"")
            .count()
            == 2
    );

    // Reading on from an id, and leaving a room.
    let port = nodes[0].port();
    let answer = request(port, "POST", "/rooms/kept:c/messages", &[], b"x").unwrap().text();
    let id = answer.split('"').nth(3).unwrap();
    let read = request(port, "GET", &format!("/rooms/kept:c/history?after={id}"), &[], b"").unwrap();
    assert_eq!(read.status, 200, "{}", read.text());
    drop(SseClient::open(port, "/sse?room=left").unwrap());
    wait_until("the room is left", || called(&scene.redis).contains("unsubscribe"));
    members_come_and_go(&scene, &nodes[0]);
    let mut called = called(&scene.redis);

    // Gone and back, empty: functions are loaded and rooms are asked for again, over new TLS connections.
    scene.redis.stop();
    wait_until("both nodes notice", || !nodes.iter().any(Node::is_ready));
    scene.redis.restart().unwrap();
    wait_until("both nodes are ready again", || nodes.iter().all(Node::is_ready));
    let log = scene.redis.command(&[b"ACL", b"LOG"]).unwrap();
    assert_eq!(log, "*0\r\n", "nothing was denied");
    for node in &nodes {
        assert!(node.metric("roomcast_broker_reconnects_total", "").unwrap() >= 1.0);
    }
    // The lost history makes a reset first.
    let events = streams.each_mut().map(|stream| stream.event().unwrap().event);
    assert_eq!(events, ["reset", "reset"]);
    called.extend(self::called(&scene.redis));
    let needless: Vec<_> = documented_rights().into_iter().filter(|right| !called.contains(right)).collect();
    assert_eq!(needless, [""; 0], "rights that nothing used");
    let clients = scene.redis.command(&[b"CLIENT", b"LIST"]).unwrap();
    assert!(clients.matches("user=roomcast").count() >= 4, "{clients}");
}

/// Members leave by themselves, with a node that ends, and with one that is lost.
fn members_come_and_go(scene: &Scene, node: &Node) {
    let mut others = [(); 2].map(|()| Node::start(BINARY, &scene.arguments()).unwrap());
    let _stays = SseClient::open(node.port(), "/sse?room=kept:p").unwrap();
    let leaves = SseClient::open(node.port(), "/sse?room=kept:p").unwrap();
    let _with_nodes =
        others.each_ref().map(|other| SseClient::open(other.port(), "/sse?room=kept:p").unwrap());
    let members = |count: usize| {
        wait_until("so many are there", || {
            let answer = request(node.port(), "GET", "/rooms/kept:p/presence", &[], b"").unwrap().text();
            answer.contains(&format!("\"total\":{count}"))
        });
    };
    members(4);
    drop(leaves);
    members(3);
    others[0].signal(Signal::TERM).unwrap();
    others[0].wait(Duration::from_secs(60)).unwrap();
    members(2);
    others[1].kill();
    members(1);
}

#[test]
fn the_doctor_uses_the_same_way_in() {
    let scene = Scene::new();
    let doctor = |settings: &[&str]| {
        let output = Command::new(BINARY)
            .arg("doctor")
            .args(settings)
            .current_dir(scene.authority.folder())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let good = doctor(&scene.arguments());
    assert!(good.contains(&format!("Redis at localhost:{} answers", scene.tls_port)), "{good}");
    let stranger = doctor(
        &[scene.arguments(), vec!["--set", "broker.tls.certificate=", "--set", "broker.tls.key="]].concat(),
    );
    assert!(stranger.contains("FAIL  Redis at localhost"), "{stranger}");
}
