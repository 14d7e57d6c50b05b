//! Metrics say what happened.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use roomcast_bench::{SseClient, WsClient, request};
use rustix::process::Signal;
use xtask::process::{http_get, scratch_folder};
use xtask::{Node, Redis, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// The value of one sample, by its labels as they stand in the text.
fn sample(node: &Node, name: &str) -> f64 {
    let text = http_get(node.admin_port(), "/metrics").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
}

#[test]
fn who_comes_is_counted_by_what_came_of_it() {
    let node = Node::start(BINARY, &["--set", "limits.connections=100"]).unwrap();
    let connects = |transport: &str, outcome: &str| {
        sample(&node, &format!("roomcast_connects_total{{transport=\"{transport}\",outcome=\"{outcome}\"}}"))
    };
    let _socket = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    let _stream = SseClient::open(node.port(), "/sse?room=a").unwrap();
    assert_eq!(request(node.port(), "GET", "/sse", &[], b"").unwrap().status, 400);
    assert_eq!(request(node.port(), "GET", "/poll?room=a&wait=0", &[], b"").unwrap().status, 200);
    assert_eq!((connects("websocket", "accepted"), connects("websocket", "refused")), (1.0, 0.0));
    assert_eq!((connects("sse", "accepted"), connects("sse", "refused")), (1.0, 1.0));
    assert_eq!((connects("poll", "accepted"), connects("poll", "unavailable")), (1.0, 0.0));
    assert_eq!(sample(&node, "roomcast_connections_limit"), 100.0);
    let text = http_get(node.admin_port(), "/metrics").unwrap();
    let sockets: f64 = text
        .lines()
        .filter(|line| line.starts_with("roomcast_sockets{"))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum();
    assert!(sockets >= 2.0, "{text}");
    for thread in ["main", "core-0"] {
        let busy = format!("roomcast_thread_busy_seconds_total{{thread=\"{thread}\"}}");
        wait_until("the thread has done something", || sample(&node, &busy) > 0.0);
    }
}

#[test]
fn a_token_that_is_refused_is_no_failure_of_the_node() {
    let node =
        Node::start(BINARY, &["--set", "auth.keys=HS256:text:0123456789abcdef0123456789abcdef"]).unwrap();
    let mut socket = WsClient::raw(node.port(), "/ws?room=a&token=nonsense").unwrap();
    assert_eq!(socket.close_code().unwrap(), Some(4401));
    let refused = "roomcast_connects_total{transport=\"websocket\",outcome=\"refused\"}";
    assert_eq!(sample(&node, refused), 1.0);
}

#[test]
fn who_comes_back_is_counted_by_whether_history_had_it_all() {
    let node = Node::start(BINARY, &["--set", "namespaces.default.history=3"]).unwrap();
    let publish =
        || assert_eq!(request(node.port(), "POST", "/rooms/a/messages", &[], b"x").unwrap().status, 202);
    let mut stream = SseClient::open(node.port(), "/sse?room=a").unwrap();
    publish();
    let last = stream.event().unwrap().id;
    drop(stream);
    let come_back = |cursor: &str| {
        SseClient::connect(node.port(), "/sse?room=a", &[("Last-Event-ID", cursor)]).unwrap().unwrap()
    };
    publish();
    come_back(&last);
    let resumes = |result: &str| sample(&node, &format!("roomcast_resumes_total{{result=\"{result}\"}}"));
    assert_eq!((resumes("complete"), resumes("missed")), (1.0, 0.0));
    come_back("1-1");
    assert_eq!((resumes("complete"), resumes("missed")), (1.0, 1.0));
    assert_eq!(request(node.port(), "GET", "/rooms/a/history", &[], b"").unwrap().status, 200);
    assert_eq!(sample(&node, "roomcast_history_reads_total{purpose=\"client\",result=\"ok\"}"), 1.0);
    assert_eq!(sample(&node, "roomcast_publish_duration_seconds_count"), 2.0);
}

#[test]
fn an_outage_and_a_drain_are_told_apart() {
    let mut redis = Redis::start().unwrap();
    let arguments = ["--redis", &redis.url(), "--set", "broker.timeout=1s", "--set", "drain.window=3s"];
    let mut node = Node::start(BINARY, &arguments).unwrap();
    assert_eq!((sample(&node, "roomcast_ready"), sample(&node, "roomcast_draining")), (1.0, 0.0));
    redis.stop();
    wait_until("publishing fails", || {
        request(node.port(), "POST", "/rooms/a/messages", &[], b"x").unwrap().status == 503
    });
    let failed = |reason| sample(&node, &format!("roomcast_publish_failures_total{{reason=\"{reason}\"}}"));
    wait_until("it is counted", || failed("unavailable") + failed("in_doubt") >= 1.0);
    wait_until("the node is not ready", || sample(&node, "roomcast_ready") == 0.0);
    wait_until("probes get old", || sample(&node, "roomcast_broker_probe_age_seconds") > 1.0);
    redis.restart().unwrap();
    node.wait_until_ready();
    assert!(sample(&node, "roomcast_broker_latency_seconds_count") > 0.0);

    let mut socket = WsClient::raw(node.port(), "/ws?room=a").unwrap();
    assert_eq!(sample(&node, "roomcast_drain_deadline_seconds"), 0.0);
    node.signal(Signal::TERM).unwrap();
    wait_until("it drains", || sample(&node, "roomcast_draining") == 1.0);
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let deadline = sample(&node, "roomcast_drain_deadline_seconds");
    assert!((now_s..now_s + 10.0).contains(&deadline), "{deadline} from {now_s}");
    assert_eq!(socket.close_code().unwrap(), Some(1012));
    drop(socket);
    node.wait(std::time::Duration::from_secs(30)).unwrap();
}

#[test]
fn a_configuration_that_is_refused_shows() {
    let folder = scratch_folder("metrics").unwrap();
    let file = folder.join("roomcast.toml");
    std::fs::write(&file, "").unwrap();
    let node = Node::start(BINARY, &["--config", file.to_str().unwrap()]).unwrap();
    assert_eq!(sample(&node, "roomcast_config_reload_success"), 1.0);
    for (text, expected) in [("[server]\nlissen = \"x\"\n", 0.0), ("", 1.0)] {
        std::fs::write(&file, text).unwrap();
        node.signal(Signal::HUP).unwrap();
        wait_until("it was read", || sample(&node, "roomcast_config_reload_success") == expected);
    }
}
