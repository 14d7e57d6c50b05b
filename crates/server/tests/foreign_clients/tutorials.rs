//! The programs of common tutorials, without a change.

use std::process::Command;

use crate::cluster::{BALANCERS, Cluster};
use crate::curl::post;
use crate::program::{Program, run_to_end};
use crate::sockets::clients;

#[test]
fn programs_of_tutorials_work_unchanged() {
    let cluster = Cluster::start();
    for kind in BALANCERS {
        let balancer = cluster.balancer(kind);
        let port = balancer.port();
        let mut events = page(port, "tutorial/eventsource.js");
        let mut first = page(port, "tutorial/websocket.js");
        assert_eq!(events.line(), "received chat: Hello everybody! 👋");
        let mut second = page(port, "tutorial/websocket.js");
        assert_eq!(events.line(), "received chat: Hello everybody! 👋");
        assert_eq!(first.line(), "received chat: Hello everybody! 👋", "nobody hears himself");

        run_to_end(backend(&cluster), b"");
        for page in [&mut events, &mut first, &mut second] {
            assert_eq!(page.line(), "received news: from the backend");
        }
        post(port, "a/messages?event=order", "application/json", br#"{"id":42,"status":"paid"}"#);
        assert_eq!(events.line(), "order 42 is paid");
        // A WebSocket has no event names; the message is in the room all the same.
        for page in [&mut first, &mut second] {
            assert_eq!(page.line(), "received undefined: undefined");
        }
        for page in [events, first, second] {
            assert!(page.finish().is_empty());
        }
    }
}

/// A page that is open and connected.
fn page(port: u16, file: &str) -> Program {
    let mut command = clients().node("browser.mjs");
    command.args([&port.to_string(), file]);
    let mut page = Program::start(command);
    assert_eq!(page.line(), "connected");
    page
}

fn backend(cluster: &Cluster) -> Command {
    let mut command = clients().node("tutorial/backend.js");
    command.env("REDIS_URL", cluster.redis.url());
    command
}
