//! The table of who may do what, tried on every transport.

use std::collections::BTreeMap;

use roomcast_bench::{Response, SseClient, WsClient, request};
use serde_json::json;

use crate::{Json, all, body, everywhere, get, http, mint, node, raw_end};

const ROOMS: [&str; 7] = ["r", "open:1", "server:1", "quiet:1", "ears:1", "@alice", "@bob"];

const SETTINGS: [&str; 15] = [
    "namespaces.default.presence=true",
    "namespaces.default.history=1000",
    "namespaces.open.subscribe=anyone",
    "namespaces.open.publish=anyone",
    "namespaces.open.presence=false",
    "namespaces.server.publish=server",
    "namespaces.server.presence=false",
    "namespaces.server.history=0",
    "namespaces.quiet.presence=false",
    "namespaces.quiet.history=0",
    "namespaces.ears.subscribe=anyone",
    "namespaces.ears.presence=false",
    "namespaces.ears.history=0",
    "auth.cookie=session",
    "limits.connections_per_user=0",
];

/// For each room what comes of subscribe, publish, presence, history: `y`es, `u`nauthorized, `f`orbidden, `n`ot found.
const TABLE: [(&str, [&str; 7]); 10] = [
    // r, open:1, server:1, quiet:1, ears:1, @alice, @bob
    ("nobody", ["uuuu", "yyuu", "ufuu", "uuuu", "yuuu", "uuuu", "uuuu"]),
    ("a token that says nothing", ["uuuu", "yyuu", "ufuu", "uuuu", "yuuu", "uuuu", "uuuu"]),
    ("a service with everything", ["yyyy", "yyny", "yfnn", "yynn", "yynn", "ffff", "ffff"]),
    ("alice with everything", ["yyyy", "yyny", "yfnn", "yynn", "yynn", "yyyy", "ffff"]),
    ("alice with nothing", ["ffff", "yyff", "ffff", "ffff", "yfff", "yfff", "ffff"]),
    ("alice: subscribe", ["yfff", "yyff", "yfff", "yfff", "yfff", "yfff", "ffff"]),
    ("alice: publish", ["fyff", "yyff", "ffff", "fyff", "yyff", "yyff", "ffff"]),
    ("alice: presence", ["ffyf", "yynf", "ffnf", "ffnf", "yfnf", "yfyf", "ffff"]),
    ("alice: history", ["fffy", "yyfy", "fffn", "fffn", "yffn", "yffy", "ffff"]),
    ("bob with everything", ["yyyy", "yyny", "yfnn", "yynn", "yynn", "ffff", "yyyy"]),
];

fn token(name: &str) -> Option<String> {
    match name {
        "nobody" => None,
        "a token that says nothing" => Some(mint(json!({}))),
        "a service with everything" => Some(mint(json!({"rooms": everywhere()}))),
        "alice with everything" => Some(all("alice")),
        "alice with nothing" => Some(mint(json!({"sub": "alice"}))),
        "bob with everything" => Some(all("bob")),
        one => {
            let list = one.strip_prefix("alice: ").unwrap();
            Some(mint(json!({"sub": "alice", "rooms": {list: ["*"]}})))
        }
    }
}

/// What an HTTP answer comes to; a refusal says why, as it should.
fn verdict(response: &Response) -> char {
    let (verdict, kind) = match response.status {
        200 | 202 => return 'y',
        401 => ('u', "unauthorized"),
        403 => ('f', "forbidden"),
        404 => ('n', "not_found"),
        other => panic!("{other}: {}", response.text()),
    };
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    assert_eq!(response.header("www-authenticate"), (verdict == 'u').then_some("Bearer"));
    let problem = body(response);
    assert_eq!(problem["type"], format!("urn:roomcast:{kind}"));
    assert_eq!(problem["status"], response.status);
    assert!(problem["detail"].as_str().unwrap().len() > 10);
    verdict
}

fn closed(code: Option<u16>) -> char {
    match code {
        None => 'y',
        Some(4401) => 'u',
        Some(4403) => 'f',
        Some(other) => panic!("{other}"),
    }
}

fn answered(answer: &serde_json::Value) -> char {
    match (answer["type"].as_str().unwrap(), answer["code"].as_str()) {
        ("error", Some("unauthorized")) => 'u',
        ("error", Some("forbidden")) => 'f',
        ("error", Some("not_found")) => 'n',
        ("subscribed" | "ok" | "members" | "history", None) => 'y',
        _ => panic!("{answer}"),
    }
}

/// One client, and one room.
struct Case<'a> {
    port: u16,
    room: &'a str,
    token: Option<&'a str>,
    /// For the URL.
    parameter: String,
}

impl Case<'_> {
    fn bearer(&self) -> Option<String> {
        self.token.map(|token| format!("Bearer {token}"))
    }

    fn subscribes(&self) -> BTreeMap<&'static str, char> {
        let Self { port, room, token, parameter } = self;
        let mut all = BTreeMap::new();
        let url = |path: &str| format!("{path}?room={room}{parameter}");
        let mut ws = WsClient::raw(*port, &url("/ws")).unwrap();
        all.insert("raw", closed(raw_end(&mut ws)));
        let json = Json::connect(*port, &url("/ws"), None);
        all.insert("URL of JSON mode", closed(json.as_ref().err().copied()));
        if let Ok(mut json) = json {
            json.until(|message| message["type"] == "subscribed" && message["room"] == **room);
        }
        let subscribe = json!({"type": "subscribe", "room": room});
        let mut json = Json::connect(*port, "/ws", *token).unwrap();
        all.insert("command", answered(&json.ask(subscribe.clone())));
        if let Some(token) = token {
            let mut json = Json::nobody(*port);
            let auth = json.ask(json!({"type": "auth", "token": token}));
            assert_eq!(auth["type"], "ok");
            all.insert("command after auth", answered(&json.ask(subscribe)));
        }
        let bearer = self.bearer();
        let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", &**bearer)).collect();
        let verdict_of_stream = match SseClient::connect(*port, &url("/sse"), &headers).unwrap() {
            Ok(mut stream) => {
                assert_eq!(stream.event().unwrap().event, "connected");
                'y'
            }
            Err(_) => verdict(&get(*port, &url("/sse"), *token)),
        };
        all.insert("stream", verdict_of_stream);
        all.insert("poll", verdict(&get(*port, &(url("/poll") + "&wait=0"), None)));
        all
    }

    /// How many messages that makes, too.
    fn publishes(&self) -> (BTreeMap<&'static str, char>, usize) {
        let Self { port, room, token, .. } = self;
        let mut json = Json::connect(*port, "/ws", *token).unwrap();
        let answer = json.ask(json!({"type": "publish", "room": room, "data": 1}));
        let mut all = BTreeMap::from([("command", answered(&answer))]);
        let http = http(*port, "POST", &format!("/rooms/{room}/messages"), *token, b"1");
        all.insert("HTTP", verdict(&http));
        let target = format!("/ws?room={room}&echo=true{}", self.parameter);
        let mut ws = WsClient::raw(*port, &target).unwrap();
        if raw_end(&mut ws).is_none() {
            ws.send_text("1").unwrap();
            let frame = ws.message().unwrap();
            assert!(frame.close_code().is_some() || frame.text() == "1");
            all.insert("raw", closed(frame.close_code()));
        }
        let count = all.values().filter(|verdict| **verdict == 'y').count();
        (all, count)
    }

    fn asks(&self, what: &str) -> BTreeMap<&'static str, char> {
        let Self { port, room, token, .. } = self;
        let mut json = Json::connect(*port, "/ws", *token).unwrap();
        let command = answered(&json.ask(json!({"type": what, "room": room})));
        let http = verdict(&get(*port, &format!("/rooms/{room}/{what}"), *token));
        BTreeMap::from([("command", command), ("HTTP", http)])
    }
}

#[test]
fn everyone_may_do_what_the_table_says_and_nothing_else() {
    let node = node(&SETTINGS);
    let mut published: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, row) in TABLE {
        let token = token(name);
        let parameter = token.as_ref().map(|token| format!("&token={token}")).unwrap_or_default();
        for (room, expected) in ROOMS.into_iter().zip(row) {
            let case =
                Case { port: node.port(), room, token: token.as_deref(), parameter: parameter.clone() };
            let (publishes, count) = case.publishes();
            *published.entry(room).or_default() += count;
            let found = [case.subscribes(), publishes, case.asks("presence"), case.asks("history")];
            for (expected, found) in expected.chars().zip(found) {
                assert!(
                    found.values().all(|it| *it == expected),
                    "{name}, {room}: {expected}, not {found:?}"
                );
            }
        }
    }
    // What was refused has not been published all the same.
    for room in ["r", "open:1", "@alice", "@bob"] {
        let history = get(node.admin_port(), &format!("/api/rooms/{room}/history?limit=500"), None);
        assert_eq!(body(&history)["messages"].as_array().unwrap().len(), published[room], "{room}");
    }
    assert!(published["r"] > 5 && published["server:1"] == 0, "{published:?}");
}

#[test]
fn a_token_may_come_in_the_header_the_url_or_the_cookie_and_the_header_counts() {
    let node = node(&SETTINGS);
    let (good, bad) = (all("alice"), all("alice") + "x");
    // Header, URL, cookie.
    let cases = [
        ([None, None, None], 401),
        ([Some(&good), None, None], 202),
        ([None, Some(&good), None], 202),
        ([None, None, Some(&good)], 202),
        ([Some(&bad), Some(&good), Some(&good)], 401),
        ([None, Some(&bad), Some(&good)], 401),
        ([Some(&good), Some(&bad), Some(&bad)], 202),
    ];
    for ([header, url, cookie], expected) in cases {
        let target = url.map(|token| format!("token={token}")).unwrap_or_default();
        let headers: Vec<_> = [
            header.map(|token| ("Authorization", format!("Bearer {token}"))),
            cookie.map(|token| ("Cookie", format!("a=b; session={token}; c=d"))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let publish = format!("/rooms/r/messages?{target}");
        let answer = request(node.port(), "POST", &publish, &headers, b"1").unwrap();
        assert_eq!(answer.status, expected, "{}", answer.text());
        let stream = SseClient::connect(node.port(), &format!("/sse?room=r&{target}"), &headers).unwrap();
        assert_eq!(stream.map_or_else(|head| head.status, |_| 202), expected);
        headers.push(("Sec-WebSocket-Protocol", "roomcast.v1"));
        let ws = WsClient::connect(node.port(), &format!("/ws?room=r&{target}"), &headers).unwrap();
        let first = ws.unwrap().message().unwrap();
        assert_eq!(first.close_code(), (expected == 401).then_some(4401));
    }
}

#[test]
fn no_token_opens_the_admin_listener_or_is_needed_there() {
    let node = node(&SETTINGS);
    for token in [None, Some(all("alice")), Some("junk".to_owned())] {
        for path in ["/api/nodes", "/api/rooms", "/api/connections?user=alice", "/api/rooms/@bob/history"] {
            // From this machine; what others need is a test of crates/server/src/admin/api.rs.
            assert_eq!(get(node.admin_port(), path, token.as_deref()).status, 200, "{path}");
        }
        assert_eq!(get(node.port(), "/api/nodes", token.as_deref()).status, 404);
        assert_eq!(get(node.port(), "/metrics", token.as_deref()).status, 404);
    }
}
