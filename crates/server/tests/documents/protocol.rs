//! What docs/protocol.md says of frames, codes and statuses is what a node does.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use hyper::StatusCode;
use roomcast_bench::{SseClient, WsClient, request};
use roomcast_protocol::{ErrorCode, Room, reply};
use serde_json::Value;
use xtask::{Node, Redis, project_root};

use crate::{BINARY, document, table};

const PAGE: &str = "docs/protocol.md";
const KEYS: &str = "auth.keys=HS256:text:0123456789abcdef0123456789abcdef";

/// A frame as the page writes it: `{"type":"ok","id":ID?}`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    kind: String,
    /// What the page has as the value of each member, and whether the member may be absent.
    members: BTreeMap<String, (String, bool)>,
}

impl Frame {
    /// Reads one. Members of these frames have no objects in them, but lists that are not spelled out.
    fn parse(text: &str) -> Self {
        let inner = text.trim_start_matches('{').trim_end_matches('}');
        let members: BTreeMap<_, _> = inner
            .split(",\"")
            .map(|member| {
                let (name, value) = member.split_once("\":").unwrap_or_else(|| panic!("{text}"));
                let is_optional = value.ends_with('?');
                let value = value.trim_end_matches('?').to_owned();
                (name.trim_start_matches('"').to_owned(), (value, is_optional))
            })
            .collect();
        let kind = members["type"].0.trim_matches('"').to_owned();
        Self { kind, members }
    }

    /// The command that it describes, with or without what may be absent.
    fn command(&self, with_optional: bool, id: &str, token: &str, reference: usize) -> String {
        let mut command = serde_json::json!({ "ref": reference });
        for (name, (value, is_optional)) in &self.members {
            if *is_optional && !with_optional {
                continue;
            }
            command[name] = match &**value {
                "R" => "a".into(),
                "T" => token.into(),
                "ID" => id.into(),
                "E" => "event".into(),
                "K" => "key".into(),
                "N" => 10.into(),
                "…" => 1.into(),
                literal => serde_json::from_str(literal).unwrap_or_else(|_| panic!("{literal} in {self:?}")),
            };
        }
        command.to_string()
    }

    /// Whether a frame of a node is one of these.
    fn describes(&self, frame: &Value) -> bool {
        let has = |name: &String| frame.get(name).is_some();
        let object = frame.as_object().unwrap();
        frame["type"] == *self.kind
            && self.members.iter().all(|(name, (_, is_optional))| *is_optional || has(name))
            && object.keys().all(|name| name == "ref" || self.members.contains_key(name))
    }
}

/// Every frame that the page writes out.
fn documented() -> Vec<Frame> {
    let page = document(PAGE);
    let spans = page.split('`').filter(|span| span.starts_with("{\"type\":"));
    let mut frames: Vec<Frame> = Vec::new();
    for frame in spans.map(Frame::parse) {
        if !frames.contains(&frame) {
            frames.push(frame);
        }
    }
    frames
}

const COMMANDS: [&str; 7] = ["auth", "subscribe", "unsubscribe", "publish", "history", "presence", "ping"];

/// A push of presence has the name of a command.
fn is_command(frame: &Frame) -> bool {
    COMMANDS.contains(&&*frame.kind)
        && !["joined", "messages"].iter().any(|name| frame.members.contains_key(*name))
}

fn token(user: &str) -> String {
    let patterns = ["--subscribe", "*", "--publish", "*", "--presence", "*", "--history", "*"];
    let output =
        Command::new(BINARY).args(["token", "--set", KEYS, "--sub", user]).args(patterns).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Reads on until `is_last`; keeps everything.
fn read_until(client: &mut WsClient, seen: &mut Vec<Value>, is_last: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame: Value = serde_json::from_str(&client.message().unwrap().text()).unwrap();
        seen.push(frame.clone());
        if is_last(&frame) {
            return frame;
        }
    }
}

#[test]
fn every_documented_frame_is_one_that_a_node_takes_or_sends() {
    let redis = Redis::start().unwrap();
    let settings =
        ["namespaces.default.history=10", "namespaces.default.presence=true", "drain.window=1s", KEYS];
    let mut arguments = vec!["--redis".to_owned(), redis.url()];
    arguments.extend(settings.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]));
    let node = Node::start(BINARY, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let (alice, bob) = (token("alice"), token("bob"));
    let frames = documented();
    let mut seen = Vec::new();

    let target = format!("/ws?room=watched&token={alice}");
    let mut client = WsClient::connect(node.port(), &target, &[("Sec-WebSocket-Protocol", "roomcast.v1")])
        .unwrap()
        .unwrap();
    client.send_text(r#"{"type":"publish","room":"a","data":0,"ref":"first"}"#).unwrap();
    let id = read_until(&mut client, &mut seen, |frame| frame["ref"] == "first")["id"]
        .as_str()
        .unwrap()
        .to_owned();

    // What each command is answered with, by the page's own table.
    let answers: BTreeMap<_, _> = table(PAGE, "command | answer")
        .iter()
        .map(|row| {
            let [command, answer] = [0, 1].map(|cell| {
                let text = row[cell].trim_start_matches('`');
                Frame::parse(text.split('`').next().unwrap()).kind
            });
            (command, answer)
        })
        .collect();
    assert_eq!(answers.len(), COMMANDS.len());
    let mut reference = 0;
    for frame in frames.iter().filter(|frame| is_command(frame)) {
        for with_optional in [false, true] {
            reference += 1;
            client.send_text(&frame.command(with_optional, &id, &alice, reference)).unwrap();
            let answer = read_until(&mut client, &mut seen, |frame| frame["ref"] == reference);
            assert_eq!(answer["type"], *answers[&frame.kind], "{frame:?}: {answer}");
        }
    }
    client.send_text(r#"{"type":"nothing","ref":"wrong"}"#).unwrap();
    read_until(&mut client, &mut seen, |frame| frame["ref"] == "wrong");
    client.send_text(r#"{"type":"publish","room":"watched","data":1}"#).unwrap();
    read_until(&mut client, &mut seen, |frame| frame["type"] == "message" && frame["room"] == "watched");

    client.send_text(r#"{"type":"subscribe","room":"watched","presence":true}"#).unwrap();
    read_until(&mut client, &mut seen, |frame| frame["type"] == "members" && frame["room"] == "watched");
    let _bob = SseClient::open(node.port(), &format!("/sse?room=watched&token={bob}")).unwrap();
    read_until(&mut client, &mut seen, |frame| frame["type"] == "presence" && frame["room"] == "watched");
    redis.publish("roomcast:control", br#"{"unsubscribe":{"user":"alice","room":"watched"}}"#).unwrap();
    read_until(&mut client, &mut seen, |frame| frame["type"] == "unsubscribed" && frame["room"] == "watched");
    assert_eq!(request(node.admin_port(), "POST", "/drain", &[], b"").unwrap().status, 202);
    read_until(&mut client, &mut seen, |frame| frame["type"] == "goodbye");
    // These take a Redis without its data, and a reader that is too slow: the tests `delivery` and `overflow` see them.
    let room = Room::parse("a").unwrap();
    for made in [reply::reset(&room), reply::dropped(&room, 1)] {
        seen.push(serde_json::from_slice(&made).unwrap());
    }

    for frame in frames.iter().filter(|frame| !is_command(frame)) {
        assert!(seen.iter().any(|sent| frame.describes(sent)), "no node sends {frame:?}");
    }
    for sent in &seen {
        assert!(frames.iter().any(|frame| frame.describes(sent)), "{PAGE} does not describe {sent}");
    }
    assert!(frames.len() > 20, "{frames:?}");
}

/// Sources of everything that speaks to clients, without their tests.
fn sources() -> String {
    let mut all = String::new();
    let mut folders: Vec<_> = ["protocol", "session", "transport"]
        .map(|name| project_root().join("crates").join(name).join("src"))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.to_string_lossy().ends_with("_tests.rs") {
                let text = std::fs::read_to_string(path).unwrap();
                all += text.split("#[cfg(test)]").next().unwrap_or_default();
            }
        }
    }
    all
}

#[test]
fn the_documented_close_codes_are_those_that_are_sent() {
    let sources = sources();
    let begins = [
        "Close::new(",
        "Self::fixed(",
        "Self::new(",
        "ReadError { code: ",
        "ErrorCode::Unauthorized => ",
        "ErrorCode::Forbidden => ",
        "ErrorCode::RateLimited => ",
    ];
    // 1005 stands for a close without a code, and is never sent (RFC 6455, section 7.4.1).
    let is_sent = |code: &u16| (1000..5000).contains(code) && *code != 1005;
    let code = |rest: &str| rest.get(..4)?.parse::<u16>().ok().filter(is_sent);
    let sent: BTreeSet<u16> =
        begins.iter().flat_map(|begin| sources.split(begin).skip(1)).filter_map(code).collect();
    let documented: BTreeSet<u16> = table(PAGE, "code | meaning | come back?")
        .iter()
        .flat_map(|row| row[0].split(", ").map(|code| code.parse().unwrap()).collect::<Vec<_>>())
        .collect();
    assert_eq!(documented, sent, "left: in {PAGE}, right: in the code");
    assert!(sent.len() > 10, "{sent:?}");
}

#[test]
fn the_documented_error_codes_are_those_that_are_sent() {
    let page = document(PAGE);
    let (_, list) = page.split_once("the conversation goes on. Codes:").unwrap();
    let (list, _) = list.split_once("\n- ").unwrap();
    let words = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let sent: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(words(list), sent);
}

#[test]
fn the_documented_statuses_are_those_that_are_answered() {
    let sources = sources();
    let answered: BTreeSet<u16> = (400..600)
        .filter(|code| {
            let reason = StatusCode::from_u16(*code).unwrap().canonical_reason().unwrap_or("-");
            let name = reason.to_uppercase().replace([' ', '-'], "_");
            [",", ")", ";", "\n", " "].iter().any(|end| sources.contains(&format!("StatusCode::{name}{end}")))
        })
        .collect();
    let documented: BTreeSet<u16> = table(PAGE, "status | when")
        .iter()
        .flat_map(|row| row[0].split(", ").map(|code| code.parse().unwrap()).collect::<Vec<_>>())
        .collect();
    assert_eq!(documented, answered, "left: in {PAGE}, right: in the code");
}
