//! The examples of `docs/examples`, as `cargo xtask example` runs them, each seen by a user in headless Chromium: `tests/foreign/examples`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod by_hand;
mod files;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use xtask::{Example, Node, foreign, free_port};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// Runs an example and the script that looks at it, which has its nodes killed.
fn is_seen(name: &str) {
    let mut example = Example::start(Path::new(BINARY), name, |_| free_port()).unwrap();
    let told = json!({
        "url": example.url(),
        "redis": example.redis().url(),
        "log": example.log(),
        "admin": example.nodes().iter().map(Node::admin_port).collect::<Vec<_>>(),
    });
    let mut command = foreign::prepare().unwrap().node(&format!("examples/{name}.mjs"));
    let mut browser =
        command.arg(told.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = browser.stdin.take().unwrap();
    let mut is_done = false;
    for line in BufReader::new(browser.stdout.take().unwrap()).lines() {
        let said: Value = serde_json::from_str(&line.unwrap()).unwrap();
        is_done |= said["done"] == true;
        if let Some(node) = said["restart"].as_u64() {
            example.restart_node(node as usize).unwrap();
            writeln!(input, "back").unwrap();
        }
    }
    let status = browser.wait().unwrap();
    assert!(is_done && status.success(), "{name}: {status}\n{}", example.output());
    example.check().unwrap();
}

#[test]
fn people_chat() {
    is_seen("chat");
}

#[test]
fn cursors_are_where_others_move_them() {
    is_seen("cursors");
}

#[test]
fn a_dashboard_has_the_past_and_goes_on() {
    is_seen("dashboard");
}

#[test]
fn a_line_of_a_log_is_seen_once_and_as_text() {
    is_seen("logs");
}

#[test]
fn notifications_reach_one_user_and_nobody_else() {
    is_seen("notifications");
}

#[test]
fn orders_go_through_all_of_their_steps() {
    is_seen("orders");
}

#[test]
fn a_job_is_followed_to_its_end() {
    is_seen("progress");
}

#[test]
fn a_device_reports_and_does_what_it_is_told() {
    is_seen("telemetry");
}

#[test]
fn who_was_too_slow_for_prices_gets_the_newest() {
    is_seen("ticker");
}
