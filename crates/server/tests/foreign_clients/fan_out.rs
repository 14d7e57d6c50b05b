//! Whatever is published, and by whom: every member of the room gets it once, all in one order, on
//! every node, and nobody else does.

use serde_json::{Value, json};
use xtask::wait_until;

use crate::cluster::{BALANCERS, Cluster};
use crate::content::Content;
use crate::curl::{CurlStream, Post};
use crate::program::Job;
use crate::sockets::{Backend, Library, Sockets};

/// Kinds of clients in a room.
const KINDS: usize = 5;
/// Connections of each kind; the load balancer gives each node one.
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
struct Published {
    contents: Vec<Content>,
    /// What went one after another over one connection, and so keeps its order.
    sequences: Vec<[Content; 2]>,
}

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
        self.contents.push(content.clone());
        content
    }

    /// Text and bytes of a publisher that sends them over one connection.
    fn sequence(&mut self, from: &str, round: usize) -> [Content; 2] {
        let sequence = [self.json(from, round), self.bytes(from, round)];
        self.sequences.push(sequence.clone());
        sequence
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
        assert_spread(&cluster);
        let published = publish_all(&cluster, balancer.port(), &mut backend, &mut members, &room, &other);
        let got = members.messages(published.contents.len());
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

/// Nobody else is connected, and every node holds some.
fn assert_spread(cluster: &Cluster) {
    let all = (2 * KINDS * EACH) as f64;
    wait_until("the clients of the last round have left", || {
        cluster.connections().iter().sum::<f64>() == all
    });
    let connections = cluster.connections();
    assert!(connections.iter().all(|count| *count > 0.0), "{connections:?}");
}

/// Every way to publish, several times, all at once.
fn publish_all(
    cluster: &Cluster,
    port: u16,
    backend: &mut Backend,
    members: &mut Members,
    room: &str,
    other: &str,
) -> Published {
    let mut published = Published::default();
    let (mut posts, mut jobs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for (sockets, from) in members.raw.iter_mut().zip(["npm", "python"]) {
            for content in published.sequence(from, round) {
                sockets.send(round % EACH, &content);
            }
            sockets.send((round + 1) % EACH, &published.text(from, round));
        }
        for command in json_commands(room, &published.sequence("json-mode", round)) {
            members.json.command(round % EACH, &command);
        }
        for content in published.sequence("ioredis", round) {
            backend.publish(room, &content);
        }
        posts.extend(curl_posts(port, room, &mut published, round));
        for content in [published.text("redis-cli", round), published.bytes("redis-cli", round)] {
            jobs.push(Job::start(cluster.redis_cli_command(room), content.as_bytes()));
        }
        assert_eq!(cluster.redis_cli(other, b"for others"), 3);
    }
    backend.wait(2 * ROUNDS);
    assert!(posts.into_iter().map(Post::wait).all(|answer| answer.status == 202));
    assert!(jobs.into_iter().map(Job::wait).all(|receivers| receivers.trim() == "3"));
    published
}

fn json_commands(room: &str, [data, bytes]: &[Content; 2]) -> [Value; 2] {
    let data: Value = serde_json::from_slice(data.as_bytes()).unwrap();
    let base64 = &bytes.to_line(0)["base64"];
    [
        json!({ "type": "publish", "room": room, "data": data }),
        json!({ "type": "publish", "room": room, "base64": base64 }),
    ]
}

fn curl_posts(port: u16, room: &str, published: &mut Published, round: usize) -> [Post; 3] {
    let contents = [
        ("text/plain; charset=utf-8", published.text("curl", round)),
        ("application/json", published.json("curl", round)),
        ("application/octet-stream", published.bytes("curl", round)),
    ];
    contents.map(|(content_type, content)| {
        let header = format!("Content-Type: {content_type}");
        Post::start(port, &format!("{room}/messages"), &["-H", &header], content.as_bytes())
    })
}

/// All got the same in the same order, and it is exactly what was published.
fn assert_same(got: &[Vec<Content>], published: Published) {
    assert_eq!(got.len(), KINDS * EACH);
    let Published { mut contents, sequences } = published;
    for (member, messages) in got.iter().enumerate() {
        let differs = got[0].iter().zip(messages).position(|(first, here)| first != here);
        assert_eq!(differs, None, "member {member} has another order than the first");
    }
    for sequence in sequences {
        let order: Vec<_> = got[0].iter().filter(|content| sequence.contains(content)).collect();
        assert_eq!(order, sequence.iter().collect::<Vec<_>>(), "a connection keeps its order");
    }
    let mut seen = got[0].clone();
    seen.sort();
    contents.sort();
    assert_eq!(seen, contents);
}
