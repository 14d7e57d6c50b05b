//! Messages for many clients by io_uring, one by one, and where the kernel refuses the first: nobody sees a difference.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use roomcast_bench::load::Report;
use xtask::process::scratch_folder;
use xtask::{Node, free_port, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// Enough for them to be written together.
const CLIENTS: u64 = 150;

const TOGETHER: &str = "messages for many clients go to the kernel together";
const REFUSED: &str = "messages go to the kernel one by one";

/// Publishers of a closed loop say much.
const WITHOUT_LIMIT: [&str; 2] = ["--set", "limits.messages_per_second=0"];

/// 150 clients in one room and in many: each gets each message once and in order, over all that can carry them.
#[track_caller]
fn delivers(node: &Node) {
    for arguments in
        ["--rooms 1", "--rooms 50", "--transport ws-json", "--transport sse", "--mode closed --window 20"]
    {
        let folder = scratch_folder("batched-writes").unwrap();
        let json = folder.join("report.json");
        let mut command = Command::new(BINARY);
        command.arg("bench").stdin(Stdio::null());
        command.args([
            "--url",
            &format!("http://127.0.0.1:{}", node.port()),
            "--pid",
            &node.pid().to_string(),
        ]);
        command
            .args(["--connections", &CLIENTS.to_string(), "--duration", "1s", "--strict", "--json"])
            .arg(&json);
        let output = command.args(arguments.split(' ')).output().unwrap();
        let table = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments}\n{table}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let report: Report = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
        let rooms = if arguments == "--rooms 50" { 50 } else { 1 };
        assert_eq!(report.counts.delivered, report.accepted * CLIENTS / rooms, "{arguments}\n{table}");
        assert!(report.accepted > 0, "{arguments}\n{table}");
    }
}

#[test]
fn together_where_the_kernel_lets_us() {
    let node = Node::start(BINARY, &WITHOUT_LIMIT).unwrap();
    wait_until("the node says what it does; this test needs a kernel that allows io_uring", || {
        node.output().contains(TOGETHER)
    });
    delivers(&node);
}

#[test]
fn one_by_one_if_that_is_wished() {
    let arguments = [&WITHOUT_LIMIT[..], &["--set", "server.batched_writes=off"]].concat();
    let node = Node::start(BINARY, &arguments).unwrap();
    delivers(&node);
    assert!(!node.output().contains(TOGETHER) && !node.output().contains(REFUSED), "{}", node.output());
}

#[test]
fn one_by_one_where_the_kernel_refuses() {
    let filtered = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/without_io_uring.py");
    let node =
        Node::start_in(&[("PROGRAM", BINARY)], filtered, free_port(), free_port(), &WITHOUT_LIMIT).unwrap();
    node.wait_until_ready();
    wait_until("the node says what it does", || node.output().contains(REFUSED));
    assert!(!node.output().contains(TOGETHER));
    delivers(&node);
}
