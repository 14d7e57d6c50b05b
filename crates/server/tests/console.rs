//! The console, in a real browser and by its headers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use roomcast_bench::{Response, request};
use serde_json::Value;
use xtask::{Balancer, Kind, Node, Redis, foreign};

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// What browsers send.
const HTML: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

#[test]
fn every_button_works_in_chromium_also_when_a_node_dies() {
    let redis = Redis::start().unwrap();
    let url = redis.url();
    let node = |name: &str| {
        let name = format!("node.name={name}");
        let rooms = ["--set", "namespaces.default.history=1000", "--set", "namespaces.default.presence=true"];
        Node::start(BINARY, &[&["--redis", &url, "--set", &name], &rooms[..]].concat()).unwrap()
    };
    let names = ["one", "two", "three"];
    let mut nodes = names.map(node);
    let ports: Vec<_> = nodes.iter().map(|node| (node.port(), node.admin_port())).collect();
    let balancer = Balancer::start(Kind::Nginx, &ports).unwrap();
    let mut command = foreign::prepare().unwrap().node("console.mjs");
    command.args([nodes[0].port(), nodes[1].port(), balancer.port()].map(|port| port.to_string()));
    let mut browser = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = browser.stdin.take().unwrap();
    let lines = BufReader::new(browser.stdout.take().unwrap()).lines();
    let said: Vec<Value> = lines
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .inspect(|said: &Value| {
            if let Some(name) = said["kill"].as_str() {
                nodes[names.iter().position(|known| *known == name).unwrap()].kill();
                writeln!(input, "gone").unwrap();
            }
        })
        .collect();
    assert!(browser.wait().unwrap().success());
    assert_eq!(said.last().unwrap()["done"], true, "{said:?}");
}

fn get(node: &Node, path: &str, headers: &[(&str, &str)]) -> Response {
    request(node.port(), "GET", path, headers, b"").unwrap()
}

#[test]
fn the_page_is_for_browsers_and_its_files_cannot_be_taken_for_others() {
    let node = Node::start(BINARY, &[]).unwrap();
    let page = get(&node, "/", &[HTML]);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let text = page.text();
    for inline in ["<style", "style=", "<script>", " onclick", "http://", "https://"] {
        assert!(!text.contains(inline), "{inline}");
    }
    let mut waiting = vec![text];
    let mut files = vec!["/".to_owned()];
    while let Some(text) = waiting.pop() {
        // What the document loads, and what modules import.
        let loaded = text.split('"').filter(|name| name.starts_with("/console/")).map(str::to_owned);
        let imported = text
            .split("from \"./")
            .skip(1)
            .map(|rest| format!("/console/{}", rest.split('"').next().unwrap()));
        for path in loaded.chain(imported).collect::<Vec<_>>() {
            if files.contains(&path) {
                continue;
            }
            let file = get(&node, &path, &[]);
            assert_eq!(
                (file.status, file.header("x-content-type-options")),
                (200, Some("nosniff")),
                "{path}"
            );
            let expected = match path.rsplit('.').next() {
                Some("js") => "text/javascript; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                _ => "image/svg+xml",
            };
            assert_eq!(file.header("content-type"), Some(expected), "{path}");
            let tag = file.header("etag").unwrap().to_owned();
            assert_eq!(get(&node, &path, &[("If-None-Match", &tag)]).status, 304, "{path}");
            waiting.push(file.text());
            files.push(path);
        }
    }
    assert_eq!(files.len(), 10, "{files:?}");
    for accept in [&[][..], &[("Accept", "*/*")], &[("Accept", "text/plain")]] {
        assert!(get(&node, "/", accept).text().starts_with("roomcast is running."));
    }
    assert_eq!(get(&node, "/console/none.js", &[]).status, 404);
}

#[test]
fn where_tokens_are_needed_the_console_has_to_be_asked_for() {
    let key = "auth.keys=HS256:text:0123456789abcdef0123456789abcdef";
    let node = Node::start(BINARY, &["--set", key]).unwrap();
    assert!(get(&node, "/", &[HTML]).text().contains("With a token"));
    assert_eq!(get(&node, "/console/console.js", &[]).status, 404);
    let node = Node::start(BINARY, &["--set", key, "--set", "console.enabled=true"]).unwrap();
    assert!(get(&node, "/", &[HTML]).text().contains("roomcast console"));
    assert_eq!(get(&node, "/console/console.js", &[]).status, 200);
}
