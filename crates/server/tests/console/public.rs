//! The console at `GET /` of the public listener.

use roomcast_bench::{Response, request};
use xtask::{Balancer, Kind, Node, Redis};

use crate::{BINARY, HTML, browser, files};

/// Signs tokens.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Rooms that keep history, and tell who is there.
const ROOMS: [&str; 4] =
    ["--set", "namespaces.default.history=1000", "--set", "namespaces.default.presence=true"];

#[test]
fn every_button_works_in_chromium_also_when_a_node_dies() {
    let redis = Redis::start().unwrap();
    let url = redis.url();
    let node = |name: &str| {
        let name = format!("node.name={name}");
        Node::start(BINARY, &[&["--redis", &url, "--set", &name], &ROOMS[..]].concat()).unwrap()
    };
    let names = ["one", "two", "three"];
    let mut nodes = names.map(node);
    let ports: Vec<_> = nodes.iter().map(|node| (node.port(), node.admin_port())).collect();
    let balancer = Balancer::start(Kind::Nginx, &ports).unwrap();
    let ports = [nodes[0].port(), nodes[1].port(), balancer.port()].map(|port| port.to_string());
    browser::run("console.mjs", &ports, |wish| {
        let name = wish["kill"].as_str().unwrap();
        nodes[names.iter().position(|known| *known == name).unwrap()].kill();
    });
}

#[test]
fn it_works_without_redis_by_keyboard_on_a_phone_and_with_tokens() {
    let start = |more: &[&str]| {
        Node::start(BINARY, &[&["--set", "node.name=alone"], &ROOMS[..], more].concat()).unwrap()
    };
    let keys = format!("auth.keys=HS256:text:{SECRET}");
    let nodes = [start(&[]), start(&["--set", &keys, "--set", "console.enabled=true"])];
    let [open, closed] = nodes.each_ref().map(|node| node.port().to_string());
    browser::run("console-alone.mjs", &[open, closed, SECRET.to_owned()], |wish| panic!("{wish}"));
}

fn get(node: &Node, path: &str, headers: &[(&str, &str)]) -> Response {
    request(node.port(), "GET", path, headers, b"").unwrap()
}

#[test]
fn the_page_is_for_browsers_and_its_files_cannot_be_taken_for_others() {
    let node = Node::start(BINARY, &[]).unwrap();
    let files = files::crawl(node.port(), HTML);
    assert_eq!(files.len(), 10, "{files:?}");
    for accept in [&[][..], &[("Accept", "*/*")], &[("Accept", "text/plain")]] {
        assert!(get(&node, "/", accept).text().starts_with("roomcast is running."));
    }
    for nothing in ["/console/none.js", "/console/admin/admin.js"] {
        assert_eq!(get(&node, nothing, &[]).status, 404, "{nothing}");
    }
}

#[test]
fn where_tokens_are_needed_the_console_has_to_be_asked_for() {
    let key = &format!("auth.keys=HS256:text:{SECRET}");
    let node = Node::start(BINARY, &["--set", key]).unwrap();
    assert!(get(&node, "/", &[HTML]).text().contains("With a token"));
    assert_eq!(get(&node, "/console/console.js", &[]).status, 404);
    let node = Node::start(BINARY, &["--set", key, "--set", "console.enabled=true"]).unwrap();
    assert!(get(&node, "/", &[HTML]).text().contains("roomcast console"));
    assert_eq!(get(&node, "/console/console.js", &[]).status, 200);
}
