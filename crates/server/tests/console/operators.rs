//! The operators' page at `GET /` of the admin listener.

use std::time::Duration;

use roomcast_bench::request;
use serde_json::{Value, json};
use xtask::{Node, Redis};

use crate::{BINARY, HTML, browser, files};

/// Signs tokens.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const KEY: &str = "the operators' key";
/// Names of nodes are an operator's own, and text all the same.
const NAMES: [&str; 2] = ["one", "two & <i>more</i>"];
/// Long enough for the other node's page to see it.
const WINDOW: &str = "drain.window=15s";

#[test]
fn every_button_works_in_chromium_and_other_pages_can_press_none() {
    let mut redis = Redis::start().unwrap();
    let (keys, key, url) =
        (format!("auth.keys=HS256:text:{SECRET}"), format!("admin.key={KEY}"), redis.url());
    let mut nodes = NAMES.map(|name| {
        let name = format!("node.name={name}");
        let settings = [&*name, &keys, &key, WINDOW].map(|setting| ["--set", setting]);
        Node::start(BINARY, &[&["--redis", &url], settings.as_flattened()].concat()).unwrap()
    });
    let places = nodes
        .iter()
        .zip(NAMES)
        .map(|(node, name)| json!({ "name": name, "port": node.port(), "admin": node.admin_port() }));
    let places = Value::from_iter(places).to_string();
    browser::run("admin.mjs", &[places, KEY.to_owned(), SECRET.to_owned()], |wish| {
        if let Some(name) = wish["drain"].as_str() {
            let node = &mut nodes[NAMES.iter().position(|known| *known == name).unwrap()];
            assert_eq!(node.wait(Duration::from_secs(60)).unwrap().code(), Some(0));
            return;
        }
        match wish["redis"].as_str() {
            Some("stop") => redis.stop(),
            Some("start") => redis.restart().unwrap(),
            _ => panic!("{wish}"),
        }
    });
}

#[test]
fn the_page_is_there_without_a_key_and_what_it_shows_is_not() {
    let node = Node::start(BINARY, &["--set", "admin.key=secret"]).unwrap();
    let port = node.admin_port();
    let files = files::crawl(port, HTML);
    assert_eq!(files.len(), 9, "{files:?}");
    let get = |path: &str, headers: &[(&str, &str)]| request(port, "GET", path, headers, b"").unwrap();
    for path in ["/console/console.js", "/console/admin/none.js"] {
        assert_eq!(get(path, &[]).status, 404, "{path}");
    }
    assert_eq!(request(port, "POST", "/", &[], b"").unwrap().status, 405);
    let page = get("/", &[HTML]).text();
    let status = get("/api/status", &[]).text();
    let id = serde_json::from_str::<Value>(&status).unwrap()["id"].as_str().unwrap().to_owned();
    assert!(!page.contains(&id), "it is the same for every node");
}
