//! Log lines: JSON that programs can read, and no flood.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;
use xtask::{Node, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");
const FLOOD: usize = 300;

/// Starts a node that says at once what ends early, and has connections end so.
fn flooded(lines_per_second: &str) -> Node {
    let limit = format!("log.lines_per_second={lines_per_second}");
    let arguments =
        ["--set", "log.format=json", "--set", "log.level=info,roomcast_transport=debug", "--set", &limit];
    let node = Node::start(BINARY, &arguments).unwrap();
    for _ in 0..FLOOD {
        let mut stream = TcpStream::connect(("127.0.0.1", node.port())).unwrap();
        stream.write_all(b"nonsense\r\n\r\n").unwrap();
        // The end of the answer, so that the line has been written or left out.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    node
}

/// The lines of the log. The others, on standard output, are for people.
fn lines(node: &Node) -> Vec<Value> {
    let output = node.output();
    let json = output.lines().filter(|line| line.starts_with('{'));
    json.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

fn ended_early(lines: &[Value]) -> usize {
    lines.iter().filter(|line| line["fields"]["message"] == "a connection ended early").count()
}

fn left_out(lines: &[Value]) -> u64 {
    lines.iter().filter_map(|line| line["fields"]["lines"].as_u64()).sum()
}

#[test]
fn repeated_lines_are_limited_and_what_is_left_out_is_said() {
    let begin = Instant::now();
    let node = flooded("5");
    // Whoever looked whether the node listens may have ended early, too.
    wait_until("everything is said or counted", || {
        let lines = lines(&node);
        ended_early(&lines) as u64 + left_out(&lines) >= FLOOD as u64
    });
    let lines = lines(&node);
    let most = 5 * (begin.elapsed().as_secs() + 2);
    assert!(ended_early(&lines) as u64 <= most, "{} lines of {most}", ended_early(&lines));
    assert!(left_out(&lines) > 0, "{lines:?}");
    let summary = lines.iter().find(|line| line["fields"]["lines"].is_u64()).unwrap();
    assert!(summary["fields"]["place"].as_str().unwrap().contains("connection.rs:"), "{summary}");
    assert_eq!(summary["level"], "WARN");
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["target"].is_string()));
    let suppressed = node.metric("roomcast_log_lines_suppressed_total", "").unwrap();
    assert!(suppressed >= left_out(&lines) as f64, "{suppressed}");
}

#[test]
fn without_a_limit_all_is_said() {
    let node = flooded("0");
    wait_until("everything is said", || ended_early(&lines(&node)) >= FLOOD);
    assert_eq!(node.metric("roomcast_log_lines_suppressed_total", "").unwrap(), 0.0);
}
