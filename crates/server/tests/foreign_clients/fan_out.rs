//! Whatever is published, and by whom: every member of the room gets it once, all in one order, on
//! every node, and nobody else does.

use serde_json::json;
use xtask::wait_until;

use crate::cluster::{BALANCERS, Cluster};
use crate::content::Content;
use crate::curl::{CurlStream, Post};
use crate::program::Job;
use crate::sockets::{Backend, Library, Sockets};

/// Connections of each kind of client; the load balancer gives each node one.
const EACH: usize = 3;
/// How often every publisher publishes.
const ROUNDS: usize = 5;

/// All kinds of clients, in one room.
struct Members {
    /// Publish as well, and ask for their own messages; npm, then Python.
    raw: [Sockets; 2],
    json: Sockets,
    sse: Sockets,
    curl: Vec<CurlStream>,
}

impl Members {
    fn join(port: u16, room: &str) -> Self {
        let ws = format!("/ws?room={room}&echo=true");
        let sse = format!("/sse?room={room}");
        Self {
            raw: [Library::Npm, Library::Python].map(|library| Sockets::raw(library, port, &ws, EACH)),
            // In JSON mode senders get their own messages unless they say otherwise.
            json: Sockets::json(Library::Npm, port, &format!("/ws?room={room}"), EACH),
            sse: Sockets::sse(port, &sse, EACH, &[]),
            curl: (0..EACH).map(|_| CurlStream::open(port, &sse, &[])).collect(),
        }
    }

    /// The next `count` messages of each member.
    fn messages(&mut self, count: usize) -> Vec<Vec<Content>> {
        let [npm, python] = &mut self.raw;
        let mut all = Vec::new();
        for sockets in [npm, python, &mut self.json, &mut self.sse] {
            for n in 0..sockets.count() {
                all.push((0..count).map(|_| sockets.message(n)).collect());
            }
        }
        all.extend(self.curl.iter_mut().map(|curl| (0..count).map(|_| curl.message()).collect()));
        all
    }

    fn finish(self) {
        self.raw.into_iter().for_each(Sockets::finish);
        self.json.finish();
        self.sse.finish();
    }
}

/// Notes what is published, so that it can be looked for.
#[derive(Default)]
struct Published(Vec<Content>);

impl Published {
    fn text(&mut self, from: &str, round: usize) -> Content {
        self.note(Content::text(format!("{round}. größe 🎈 from {from}")))
    }

    fn json(&mut self, from: &str, round: usize) -> Content {
        self.note(Content::text(json!({ from: round }).to_string()))
    }

    fn bytes(&mut self, from: &str, round: usize) -> Content {
        let head = [0xff, 0x00, round as u8];
        self.note(Content::bytes([&head, from.as_bytes()].concat()))
    }

    fn note(&mut self, content: Content) -> Content {
        self.0.push(content.clone());
        content
    }
}

#[test]
fn every_member_gets_every_message_once_and_in_one_order() {
    let cluster = Cluster::start();
    let mut backend = Backend::connect(&cluster.redis.url());
    for (which, kind) in BALANCERS.into_iter().enumerate() {
        let balancer = cluster.balancer(kind);
        // Rooms of their own: the members of the last round may still be leaving.
        let [room, other] = ["a", "b"].map(|name| format!("{name}{which}"));
        let mut members = Members::join(balancer.port(), &room);
        let mut strangers = Members::join(balancer.port(), &other);
        wait_until("every node holds a third of the clients", || {
            cluster.connections().iter().all(|count| *count >= 2.0 * EACH as f64)
        });

        let published = publish_all(&cluster, balancer.port(), &mut backend, &mut members, &room, &other);
        let got = members.messages(published.len());
        assert_same(&got, published);

        // Whatever came twice or went astray would stand before the end.
        assert_eq!(cluster.redis_cli(&room, b"the end"), 3, "each node subscribes once");
        assert!(members.messages(1).iter().all(|last| *last == [Content::text("the end")]));
        assert_eq!(cluster.redis_cli(&other, b"the other end"), 3);
        let expected: Vec<_> = (0..ROUNDS).map(|_| "for others").chain(["the other end"]).collect();
        for got in strangers.messages(ROUNDS + 1) {
            assert_eq!(got, expected.iter().copied().map(Content::text).collect::<Vec<_>>());
        }
        members.finish();
        strangers.finish();
    }
}

/// Every way to publish, several times, all at once; gives what was published to `room`.
fn publish_all(
    cluster: &Cluster,
    port: u16,
    backend: &mut Backend,
    members: &mut Members,
    room: &str,
    other: &str,
) -> Vec<Content> {
    let mut published = Published::default();
    let (mut posts, mut jobs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for (sockets, from) in members.raw.iter_mut().zip(["npm", "python"]) {
            sockets.send(round % EACH, &published.json(from, round));
            sockets.send(round % EACH, &published.text(from, round));
            sockets.send(round % EACH, &published.bytes(from, round));
        }
        publish_json(&mut members.json, &mut published, round, room);
        for content in [published.text("ioredis", round), published.bytes("ioredis", round)] {
            backend.publish(room, &content);
        }
        let target = format!("{room}/messages");
        for (content_type, content) in [
            ("text/plain; charset=utf-8", published.text("curl", round)),
            ("application/json", published.json("curl", round)),
            ("application/octet-stream", published.bytes("curl", round)),
        ] {
            let header = format!("Content-Type: {content_type}");
            posts.push(Post::start(port, &target, &["-H", &header], content.as_bytes()));
        }
        for content in [published.text("redis-cli", round), published.bytes("redis-cli", round)] {
            jobs.push(redis_cli(cluster, room, content.as_bytes()));
        }
        assert_eq!(cluster.redis_cli(other, b"for others"), 3);
    }
    backend.wait(2 * ROUNDS);
    assert!(posts.into_iter().map(Post::wait).all(|answer| answer.status == 202));
    assert!(jobs.into_iter().map(Job::wait).all(|receivers| receivers.trim() == "3"));
    published.0
}

fn publish_json(sockets: &mut Sockets, published: &mut Published, round: usize, room: &str) {
    let data: serde_json::Value =
        serde_json::from_slice(published.json("json-mode", round).as_bytes()).unwrap();
    sockets.command(round % EACH, &json!({ "type": "publish", "room": room, "data": data }));
    let base64 = &published.bytes("json-mode", round).to_line(0)["base64"];
    sockets.command(round % EACH, &json!({ "type": "publish", "room": room, "base64": base64 }));
}

/// The real redis-cli, under way.
fn redis_cli(cluster: &Cluster, room: &str, payload: &[u8]) -> Job {
    Job::start(cluster.redis_cli_command(room), payload)
}

/// All got the same in the same order, and it is exactly what was published.
fn assert_same(got: &[Vec<Content>], mut published: Vec<Content>) {
    for (member, messages) in got.iter().enumerate() {
        let differs = got[0].iter().zip(messages).position(|(first, here)| first != here);
        assert_eq!(differs, None, "member {member} has another order than the first");
    }
    let mut seen = got[0].clone();
    seen.sort();
    published.sort();
    assert_eq!(seen, published);
    assert_eq!(got.len(), 5 * EACH);
}
