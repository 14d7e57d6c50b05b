//! What is special about Server-Sent Events, as npm `eventsource` sees it through load balancers.

use serde_json::{Value, json};
use xtask::Balancer;

use crate::cluster::{BALANCERS, Cluster};
use crate::content::Content;
use crate::curl::{CurlStream, post};
use crate::sockets::{Library, Sockets};

fn each_balancer(test: impl Fn(&Cluster, &Balancer)) {
    let cluster = Cluster::start();
    BALANCERS.into_iter().for_each(|kind| test(&cluster, &cluster.balancer(kind)));
}

#[test]
fn line_breaks_arrive() {
    each_balancer(|cluster, balancer| {
        let mut sse = Sockets::sse(balancer.port(), "/sse?room=a", 1, &[]);
        for (sent, expected) in [
            ("one\ntwo\n\nfour", "one\ntwo\n\nfour"),
            ("\nbegins and ends with one\n", "\nbegins and ends with one\n"),
            // Every kind of line break is LF when EventSource joins the lines again.
            ("a\r\nb\rc", "a\nb\nc"),
            ("data: x\nevent: y\nid: z\n: comment", "data: x\nevent: y\nid: z\n: comment"),
            (" a space before", " a space before"),
            ("\u{feff}größe 🎈", "\u{feff}größe 🎈"),
        ] {
            post(balancer.port(), "a/messages", "text/plain; charset=utf-8", sent.as_bytes());
            assert_eq!(sse.message(0), Content::text(expected));
            cluster.redis_cli("a", sent.as_bytes());
            assert_eq!(sse.message(0), Content::text(expected));
        }
        sse.finish();
    });
}

#[test]
fn events_have_names_and_bytes_are_base64() {
    each_balancer(|cluster, balancer| {
        let port = balancer.port();
        let events = ["order", "größe", "order;base64"];
        let mut sse = Sockets::sse(port, "/sse?room=a", 1, &events);
        let mut expect = |event: &str, content: Content| {
            let line = sse.next(0);
            assert_eq!((&line["event"], Content::of_line(&line)), (&json!(event), content));
            assert_eq!(line["id"], "", "a room without history has no ids");
        };
        let bytes = [0xff, 0xfe, 0x00, 0x0a];
        post(port, "a/messages?event=order", "text/plain", b"paid");
        expect("order", Content::text("paid"));
        post(port, "a/messages?event=gr%C3%B6%C3%9Fe", "text/plain", b"42");
        expect("größe", Content::text("42"));
        post(port, "a/messages?event=message", "text/plain", b"the default");
        expect("message", Content::text("the default"));
        post(port, "a/messages?event=order", "application/octet-stream", &bytes);
        expect("order;base64", Content::bytes(bytes));
        cluster.redis_cli("a", &bytes);
        expect("message;base64", Content::bytes(bytes));
        let mut sender = Sockets::json(Library::Npm, port, "/ws?room=a", 1);
        sender.command(0, &json!({ "type": "publish", "room": "a", "event": "order", "data": [1, null] }));
        expect("order", Content::text("[1,null]"));
        // Back to it after an event with a name.
        cluster.redis_cli("a", b"plain");
        expect("message", Content::text("plain"));
        sse.finish();
    });
}

#[test]
fn many_rooms_share_a_stream() {
    each_balancer(|cluster, balancer| {
        let port = balancer.port();
        let rooms: Vec<_> = (0..40).map(|n| format!("shared:{n}")).collect();
        let query = rooms.join("&room=");
        let mut sse = Sockets::sse(port, &format!("/sse?format=json&room={query}"), 1, &["order"]);
        let connected: Value = serde_json::from_str(sse.opened[0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(connected["rooms"].as_object().unwrap().len(), rooms.len());
        assert_eq!(connected["rooms"]["shared:7"], json!({ "resumed": false, "missed": false }));

        let mut expect = |event: &str, expected: Value| {
            let line = sse.next(0);
            assert_eq!(line["event"], event);
            let message: Value = serde_json::from_str(line["text"].as_str().unwrap()).unwrap();
            assert_eq!(message, expected);
        };
        for room in &rooms {
            post(port, &format!("{room}/messages?event=order"), "application/json", br#"{"x":1}"#);
            expect("order", json!({ "type": "message", "room": room, "event": "order", "data": { "x": 1 } }));
        }
        let message =
            |data: &str| json!({ "type": "message", "room": "shared:3", "event": "message", "data": data });
        cluster.redis_cli("shared:3", b"two\r\nlines");
        expect("message", message("two\r\nlines"));
        cluster.redis_cli("shared:3", b"");
        expect("message", message(""));
        cluster.redis_cli("shared:39", b"\xff");
        let bytes = json!({ "type": "message", "room": "shared:39", "event": "message", "base64": "/w==" });
        expect("message", bytes);
        sse.finish();
    });
}

#[test]
fn the_head_of_a_stream_keeps_proxies_from_holding_it_back() {
    each_balancer(|_, balancer| {
        let stream = CurlStream::open(balancer.port(), "/sse?room=a", &[]);
        assert_eq!(stream.status_line, "HTTP/1.1 200 OK");
        assert_eq!(stream.headers["content-type"], "text/event-stream");
        assert_eq!(stream.headers["cache-control"], "no-cache, no-transform");
    });
}
