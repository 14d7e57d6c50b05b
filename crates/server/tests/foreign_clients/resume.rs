//! Clients that others wrote come back by themselves after their node was killed, through a load balancer, and nothing
//! is lost, doubled or out of order: Chromium, npm `eventsource` and `curl`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use roomcast_bench::request;
use serde_json::{Value, json};
use xtask::{Kind, wait_until};

use crate::cluster::{Cluster, NODES};
use crate::content::Content;
use crate::curl::CurlLoop;
use crate::sockets::{Closed, Sockets};

/// How often every node is killed.
const PASSES: usize = 2;
/// Streams of npm `eventsource`.
const STREAMS: usize = 6;
/// Between two messages, so that a client that waits for its `retry:` misses many.
const PACE: Duration = Duration::from_millis(15);
const ROOMS: [&str; 2] = ["a", "b"];
const BOTH: &str = "/sse?room=a&room=b";
const THE_END: &str = "the end";

/// What was published or heard, for each room in order.
type Messages = BTreeMap<String, Vec<String>>;

fn note(messages: &mut Messages, text: &str) {
    let (room, _) = text.split_once(' ').unwrap_or_else(|| panic!("nobody publishes {text:?}"));
    messages.entry(room.to_owned()).or_default().push(text.to_owned());
}

fn is_whole(messages: &Messages, rooms: &[&str]) -> bool {
    let has_end = |room: &&str| messages.get(*room).is_some_and(|all| all.last().unwrap().ends_with(THE_END));
    rooms.iter().all(has_end)
}

/// Publishes through the balancer until a node has taken it; the key keeps a repetition from being a second message.
fn publish(port: u16, room: &str, text: &str) -> String {
    let mut id = String::new();
    wait_until("a node takes a message", || {
        let key = [("Idempotency-Key", text)];
        let target = format!("/rooms/{room}/messages");
        let Ok(answer) = request(port, "POST", &target, &key, text.as_bytes()) else { return false };
        id = answer.text().trim_start_matches("{\"id\":\"").trim_end_matches("\"}").to_owned();
        answer.status == 202
    });
    id
}

/// Says that it is over also when the test fails: the scope of threads would wait for the publisher for ever.
struct OverWhenDropped<'a>(&'a AtomicBool);

impl Drop for OverWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Numbers messages of both rooms until it is over; gives them, and the ids of the first room's.
fn publish_until(over: &AtomicBool, port: u16) -> (Messages, Vec<String>) {
    let (mut sent, mut ids) = (Messages::new(), Vec::new());
    let mut number = 0;
    let mut send = |what: &str| {
        for room in ROOMS {
            let text = format!("{room} {what}");
            let id = publish(port, room, &text);
            note(&mut sent, &text);
            ids.extend((room == ROOMS[0]).then_some(id));
        }
    };
    while !over.load(Ordering::Relaxed) {
        send(&format!("message {number}"));
        number += 1;
        std::thread::sleep(PACE);
    }
    send(THE_END);
    (sent, ids)
}

/// What a stream that has come back says of each of its rooms.
fn assert_resumed(connected: &str) {
    let connected: Value = serde_json::from_str(connected).unwrap();
    for (room, verdict) in connected["rooms"].as_object().unwrap() {
        assert_eq!(verdict, &json!({ "resumed": true, "missed": false }), "{room}: {connected}");
    }
}

/// What stream `n` of a program has heard to the end, with the ids, and how often it has come back.
fn read(streams: &mut Sockets, n: usize, rooms: &[&str]) -> (Messages, Vec<String>, usize) {
    let (mut heard, mut ids, mut returns) = (Messages::new(), Vec::new(), 0);
    while !is_whole(&heard, rooms) {
        let line = streams.next(n);
        match line["what"].as_str() {
            Some("message") => {
                note(&mut heard, line["text"].as_str().unwrap());
                ids.push(line["id"].as_str().unwrap().to_owned());
            }
            Some("open") => {
                // The only address it has is the first one: where it was it says in Last-Event-ID.
                assert_resumed(line["text"].as_str().unwrap());
                returns += 1;
            }
            _ => panic!("stream {n}: {line}"),
        }
    }
    (heard, ids, returns)
}

/// The same of curl, which a script has to run again.
fn read_curl(mut curl: CurlLoop) -> (Messages, usize) {
    let (mut heard, mut returns) = (Messages::new(), 0);
    while !is_whole(&heard, &ROOMS) {
        match curl.event() {
            (event, text) if event == "message" => note(&mut heard, &text),
            (event, data) if event == "connected" => {
                assert_resumed(&data);
                returns += 1;
            }
            other => panic!("curl: {other:?}"),
        }
    }
    (heard, returns)
}

/// Raw and JSON mode as a browser's own WebSocket speaks them.
fn talk(browser: &mut Sockets, raw: usize, json: usize) {
    let frame = |browser: &mut Sockets| Content::of_line(&browser.next(raw));
    assert_eq!(browser.reply(json)["type"], "welcome");
    assert_eq!(browser.reply(json)["type"], "subscribed");
    for content in [Content::text("größe 🎈"), Content::bytes([0xff, 0x00])] {
        browser.send(raw, &content);
        assert_eq!(frame(browser), content);
        assert_eq!(Content::of_json(&browser.reply_of(json, "message")), content);
    }
    browser.command(json, &json!({ "type": "publish", "room": "talk", "data": { "from": "a page" } }));
    assert_eq!(frame(browser), Content::text(r#"{"from":"a page"}"#));
    let replies = [browser.reply(json), browser.reply(json)];
    for kind in ["ok", "message"] {
        assert!(replies.iter().any(|reply| reply["type"] == kind), "{replies:?}");
    }
}

#[test]
fn nothing_is_lost_when_every_node_is_killed_in_turn() {
    let mut cluster = Cluster::start_with("namespaces.default.history=1000");
    let balancer = cluster.balancer(Kind::Haproxy);
    let port = balancer.port();
    let mut streams = Sockets::sse(port, "/sse?room=a", STREAMS, &[]);
    let mut browser =
        Sockets::chromium(port, &[BOTH, "/ws?room=talk&echo=true", "/ws?room=talk,roomcast.v1"]);
    talk(&mut browser, 1, 2);
    let curl = CurlLoop::open(port, BOTH);
    let curl = std::thread::spawn(move || read_curl(curl));

    let over = AtomicBool::new(false);
    let (sent, ids) = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| publish_until(&over, port));
        let killing = OverWhenDropped(&over);
        for node in (0..PASSES).flat_map(|_| 0..NODES) {
            cluster.replace(node);
            wait_until("all streams are back", || streams_open(&cluster) == (STREAMS + 2) as f64);
        }
        drop(killing);
        publisher.join().unwrap()
    });

    let first = Messages::from([(ROOMS[0].to_owned(), sent[ROOMS[0]].clone())]);
    let mut returns = [0; STREAMS];
    for (stream, returns) in returns.iter_mut().enumerate() {
        let heard = read(&mut streams, stream, &ROOMS[..1]);
        assert_eq!((&heard.0, &heard.1), (&first, &ids), "stream {stream}");
        *returns = heard.2;
    }
    let (heard, _, browser_returns) = read(&mut browser, 0, &ROOMS);
    assert_eq!(heard, sent, "Chromium");
    let (heard, curl_returns) = curl.join().unwrap();
    assert_eq!(heard, sent, "curl");
    println!(
        "{} messages a room; came back: eventsource {returns:?}, Chromium {browser_returns}, curl {curl_returns}",
        ids.len()
    );
    // Wherever a stream is, its node is killed once in each pass.
    assert!(returns.into_iter().chain([browser_returns, curl_returns]).all(|times| times >= PASSES));
    for page in [1, 2] {
        assert_eq!(browser.closed(page), Closed { code: 1006, reason: String::new() }, "no word, no code");
    }
    streams.finish();
    browser.finish();
}

fn streams_open(cluster: &Cluster) -> f64 {
    cluster.nodes.iter().map(|node| node.metric("roomcast_connections", "\"sse\"").unwrap()).sum()
}
