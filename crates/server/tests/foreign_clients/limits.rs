//! The shortest and the longest payload, and the answer to one byte more.

use serde_json::{Value, json};

use crate::cluster::{BALANCERS, Cluster};
use crate::content::Content;
use crate::curl::{Answer, Post, post, try_post};
use crate::sockets::{Closed, LIBRARIES, Library, Sockets};

/// `namespaces.default.max_message_bytes`, as it is by default.
const MAX: usize = 64 * 1024;

/// Text of so many bytes; mostly of more than one byte a character.
fn text(bytes: usize) -> Content {
    Content::text("é".repeat(bytes / 2) + &"x".repeat(bytes % 2))
}

fn bytes(len: usize) -> Content {
    Content::bytes((0..len).map(|i| (i % 256) as u8).rev().collect::<Vec<_>>())
}

/// Those who must see every message of a room, by each wire.
struct Readers {
    raw: Sockets,
    json: Sockets,
    sse: Sockets,
}

impl Readers {
    fn join(port: u16, room: &str) -> Self {
        Self {
            raw: Sockets::raw(Library::Npm, port, &format!("/ws?room={room}"), 1),
            json: Sockets::json(Library::Python, port, &format!("/ws?room={room}"), 1),
            sse: Sockets::sse(port, &format!("/sse?room={room}"), 1, &[]),
        }
    }

    #[track_caller]
    fn expect(&mut self, content: &Content) {
        for sockets in [&mut self.raw, &mut self.json, &mut self.sse] {
            assert_eq!(sockets.message(0), *content);
        }
    }

    fn finish(self) {
        [self.raw, self.json, self.sse].into_iter().for_each(Sockets::finish);
    }
}

fn each_balancer(room: &str, test: impl Fn(u16, &str, &mut Readers)) {
    let cluster = Cluster::start();
    for kind in BALANCERS {
        let balancer = cluster.balancer(kind);
        let room = format!("{room}-{}", kind.name());
        let mut readers = Readers::join(balancer.port(), &room);
        test(balancer.port(), &room, &mut readers);
        readers.finish();
    }
}

#[test]
fn raw_messages_may_be_empty_and_of_the_longest_length() {
    each_balancer("raw", |port, room, readers| {
        for library in LIBRARIES {
            let mut senders = Sockets::raw(library, port, &format!("/ws?room={room}"), 1);
            for content in [text(0), bytes(0), text(MAX), bytes(MAX)] {
                senders.send(0, &content);
                readers.expect(&content);
            }
            senders.finish();
        }
    });
}

#[test]
fn a_raw_message_that_is_too_long_ends_the_conversation_with_1009() {
    each_balancer("long", |port, room, readers| {
        for library in LIBRARIES {
            // Connections of a room of their own, so that they do not see each other's.
            let mut senders = Sockets::raw(library, port, &format!("/ws?room={room}"), 2);
            for (n, content) in [text(MAX + 1), bytes(MAX + 1)].iter().enumerate() {
                senders.send(n, content);
                let Closed { code, reason } = senders.closed(n);
                assert_eq!(code, 1009, "{library:?}: {reason}");
                assert!(!reason.is_empty());
            }
            senders.finish();
        }
        post(port, &format!("{room}/messages"), "text/plain", b"nothing came before this");
        readers.expect(&Content::text("nothing came before this"));
    });
}

#[test]
fn json_mode_answers_too_large_and_goes_on() {
    each_balancer("json", |port, room, readers| {
        for library in LIBRARIES {
            let mut sender = Sockets::json(library, port, &format!("/ws?room={room}"), 1);
            // The payload is the JSON text: a string has two quotes more than its characters.
            let text = |len: usize| ("data", json!("x".repeat(len - 2)));
            let base64 = |len| ("base64", bytes(len).to_line(0)["base64"].clone());
            for (member, value) in [text(2), base64(0), text(MAX), base64(MAX)] {
                assert_eq!(answer_to(&mut sender, room, member, &value), json!({ "type": "ok", "ref": 7 }));
                let content = if member == "data" {
                    Content::text(value.as_str().unwrap())
                } else {
                    Content::of_base64(&value)
                };
                expect_json(readers, member, &content);
            }
            for (member, value) in [text(MAX + 1), base64(MAX + 1)] {
                let answer = answer_to(&mut sender, room, member, &value);
                assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("too_large")));
                assert_eq!(answer["ref"], 7);
            }
            assert_eq!(answer_to(&mut sender, room, "data", &json!({})), json!({ "type": "ok", "ref": 7 }));
            readers.expect(&Content::text("{}"));
            sender.finish();
        }
    });
}

/// Publishes without an echo, and gives the answer.
fn answer_to(sender: &mut Sockets, room: &str, member: &str, value: &Value) -> Value {
    let command = json!({ "type": "publish", "room": room, "ref": 7, "echo": false, member: value });
    sender.command(0, &command);
    sender.reply(0)
}

/// A JSON string is a string for JSON mode; verbatim, it has its quotes.
#[track_caller]
fn expect_json(readers: &mut Readers, member: &str, content: &Content) {
    if member != "data" {
        return readers.expect(content);
    }
    assert_eq!(readers.json.message(0), *content);
    let verbatim = Content::text(format!("\"{}\"", String::from_utf8_lossy(content.as_bytes())));
    assert_eq!(readers.raw.message(0), verbatim);
    assert_eq!(readers.sse.message(0), verbatim);
}

#[test]
fn http_answers_413() {
    each_balancer("http", |port, room, readers| {
        let target = format!("{room}/messages");
        for content in [text(0), bytes(0), text(MAX), bytes(MAX)] {
            post(port, &target, content_type(&content), content.as_bytes());
            readers.expect(&content);
        }
        for content in [text(MAX + 1), bytes(MAX + 1), bytes(10 * MAX)] {
            assert_too_large(&try_post(port, &target, content_type(&content), content.as_bytes()));
            // Where the length is not said beforehand.
            let chunked = ["-H", "Content-Type: text/plain", "-H", "Transfer-Encoding: chunked"];
            assert_too_large(&Post::start(port, &target, &chunked, content.as_bytes()).wait());
        }
        post(port, &target, "text/plain", b"nothing came before this");
        readers.expect(&Content::text("nothing came before this"));
    });
}

fn content_type(content: &Content) -> &'static str {
    match content {
        Content::Text(_) => "text/plain",
        Content::Bytes(_) => "application/octet-stream",
    }
}

#[track_caller]
fn assert_too_large(answer: &Answer) {
    assert_eq!((answer.status, &*answer.content_type), (413, "application/problem+json"), "{answer:?}");
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["status"], 413);
    for member in ["type", "title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
}
