//! The command line as an operator meets it: answers, sentences and exit codes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use xtask::process::scratch_folder;
use xtask::{Node, Redis, free_port, wait_until};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// Runs to its end, away from any configuration file.
fn run(arguments: &[&str]) -> Output {
    run_with(arguments, &[])
}

fn run_with(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = scratch_folder("cli").unwrap();
    Command::new(BINARY)
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(&*folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, expected_error: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(expected_error), "{expected_error:?} is missing in {error:?}");
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn version_and_help() {
    let version = run(&["--version"]);
    assert_eq!(stdout(&version), format!("roomcast {}\n", env!("CARGO_PKG_VERSION")));
    let help = stdout(&run(&["--help"]));
    for command in ["serve", "publish", "subscribe", "token", "config", "bench", "doctor"] {
        assert!(help.contains(command), "{command} is missing in the help");
    }
    check(&run(&["--no-such-flag"]), 2, "--no-such-flag");
}

#[test]
fn the_default_configuration_is_good() {
    let default = stdout(&run(&["config", "default"]));
    assert!(default.contains("[broker]") && default.contains("# "));
    let folder = scratch_folder("config").unwrap();
    let file = folder.join("my.toml");
    std::fs::write(&file, default).unwrap();
    let output = run(&["config", "check", "--config", file.to_str().unwrap()]);
    check(&output, 0, "");
    assert!(stdout(&output).contains("good"));
}

#[test]
fn every_configuration_error_is_one_sentence_with_place_and_remedy() {
    let folder = scratch_folder("config").unwrap();
    let file = folder.join("roomcast.toml");
    std::fs::write(&file, "[broker]\nulr = \"redis://localhost\"\n[server]\nheartbeat = \"soon\"\n").unwrap();
    let environment = [("ROOMCAST_DRAIN__WINDOW", "5")];
    let output = run_with(&["config", "check", "--config", file.to_str().unwrap()], &environment);
    check(&output, 2, "roomcast.toml:2: there is no setting broker.ulr; did you mean broker.url?");
    check(&output, 2, "roomcast.toml:4: server.heartbeat must be a time with its unit");
    check(&output, 2, "ROOMCAST_DRAIN__WINDOW: drain.window must be a time with its unit");

    check(&run(&["--config", "nowhere.toml"]), 2, "nowhere.toml: cannot be read");
    check(&run(&["--listen", "0.0.0.0:0"]), 2, "auth.mode = \"open\"");
    check(&run(&["--redis", "http://x"]), 2, "write redis://");
    check(&run(&["--set", "drain.window"]), 2, "write KEY=VALUE");
    check(&run(&["--set", "drain.windw=1s"]), 2, "did you mean drain.window?");
}

#[test]
fn a_busy_port_is_named_with_its_flag() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let expected = format!("cannot listen on {address}: another program does");
    let output = run(&["--listen", &address, "--admin-listen", "127.0.0.1:0"]);
    check(&output, 1, &expected);
    check(&output, 1, "--listen");
    let output = run(&["--listen", "127.0.0.1:0", "--admin-listen", &address]);
    check(&output, 1, &expected);
    check(&output, 1, "--admin-listen");
}

#[test]
fn the_descriptor_limit_is_raised_and_said() {
    let port = free_port();
    let script = format!(
        "ulimit -Sn 200; ulimit -Hn 1000; exec {BINARY} --listen 127.0.0.1:{port} --admin-listen 127.0.0.1:0 2>&1"
    );
    let mut child = Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .take_while(|line| !line.contains("listening"))
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let all = lines.join("\n");
    assert!(all.contains("ulimit -n 1048576"), "{all}");
    assert!(all.contains("connections=872"), "the hard limit less what the process needs: {all}");
}

#[test]
fn an_unreachable_redis_is_said_once_and_tried_on() {
    let port = free_port();
    let url = format!("redis://127.0.0.1:{port}");
    let node = Node::start_unready(BINARY, &["--redis", &url]).unwrap();
    wait_until("the log says so", || node.output().contains("cannot connect to Redis"));
    assert!(node.output().contains(&format!("127.0.0.1:{port}")));
    assert!(!node.is_ready());
    let output = run(&["publish", "a", "1", "--url", &format!("http://127.0.0.1:{}", node.port())]);
    check(&output, 1, "503 Service Unavailable: the message broker does not answer");
    let _redis = Redis::start_on(port, &[]).unwrap();
    node.wait_until_ready();
    assert_eq!(node.output().matches("cannot connect to Redis").count(), 1, "{}", node.output());
}

#[test]
fn publish_and_subscribe() {
    let node = Node::start(BINARY, &[]).unwrap();
    let url = format!("http://127.0.0.1:{}", node.port());
    let mut subscriber = Command::new(BINARY)
        .args(["subscribe", "a", "b:1", "--url", &url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(subscriber.stdout.take().unwrap()).lines();
    wait_until("both rooms are joined", || node.metric("roomcast_room_members", "").unwrap() == 2.0);
    let output = run(&["publish", "a", "{\"n\": 1}", "--event", "order paid", "--url", &url]);
    check(&output, 0, "");
    assert_eq!(stdout(&output), "{\"id\":null}\n");
    check(&run(&["publish", "b:1", "text", "--url", &url]), 0, "");
    let first = lines.next().unwrap().unwrap();
    let second = lines.next().unwrap().unwrap();
    subscriber.kill().unwrap();
    subscriber.wait().unwrap();
    assert_eq!(first, r#"{"type":"message","room":"a","event":"order paid","data":{"n": 1}}"#);
    assert_eq!(second, r#"{"type":"message","room":"b:1","event":"message","data":"text"}"#);

    check(&run(&["publish", "a b", "x", "--url", &url]), 1, "a room name may only have");
    check(&run(&["publish", "a", "x", "--event", "reset", "--url", &url]), 1, "gateway's own");
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    check(&run(&["publish", "a", "x", "--url", &nowhere]), 1, "cannot reach a gateway");
    check(&run(&["subscribe", "a", "--url", &nowhere]), 1, "cannot reach a gateway");
    check(&run(&["publish", "a", "x", "--url", "localhost"]), 1, "is not a URL such as");
}

#[test]
fn doctor() {
    let redis = Redis::start().unwrap();
    let ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let healthy = run(&[&["doctor", "--redis", &redis.url()], &ports[..]].concat());
    let text = stdout(&healthy);
    assert_eq!(healthy.status.code(), Some(0), "{text}");
    for expected in ["Redis version 7.", "answers in", "functions are allowed", "connections", "is free"] {
        assert!(text.contains(expected), "{expected:?} is missing in {text}");
    }
    let nowhere = format!("redis://127.0.0.1:{}", free_port());
    let sick = run(&[&["doctor", "--redis", &nowhere], &ports[..]].concat());
    assert_eq!(sick.status.code(), Some(1));
    assert!(stdout(&sick).contains("FAIL  Redis at 127.0.0.1"), "{}", stdout(&sick));
    assert!(stdout(&sick).contains("start Redis or correct broker.url"));
}
