//! Who may do what, until when and how fast, on the running binary: every rule in both directions, on every transport.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control;
mod expiry;
mod issuer;
mod jwks;
mod limits;
mod mode;
mod origins;
mod presence;
mod rooms;
mod rules;
mod secrecy;
mod wire;

use std::time::{SystemTime, UNIX_EPOCH};

use roomcast_bench::{Response, SseClient, WsClient, request};
use roomcast_session::auth::{Algorithm, SigningKey, sign};
use serde_json::{Value, json};
use xtask::{Node, Redis};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The setting that goes with it.
pub(crate) const KEYS: &str = "auth.keys=HS256:text:0123456789abcdef0123456789abcdef";

pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token with these claims, and an hour where they do not say how long.
pub(crate) fn mint(mut claims: Value) -> String {
    if claims.get("exp").is_none() {
        claims["exp"] = json!(now_s() + 3600);
    }
    let key = SigningKey::read(Algorithm::HS256, SECRET.as_bytes()).unwrap();
    sign(&key, None, &claims).unwrap()
}

/// A token of a user who may do everything.
pub(crate) fn all(user: &str) -> String {
    mint(json!({"sub": user, "rooms": everywhere()}))
}

pub(crate) fn everywhere() -> Value {
    json!({"subscribe": ["*"], "publish": ["*"], "presence": ["*"], "history": ["*"]})
}

/// A node with the key, and with these settings.
pub(crate) fn node(settings: &[&str]) -> Node {
    let mut arguments = vec!["--set", KEYS];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    Node::start(BINARY, &arguments).unwrap()
}

/// As many nodes as that on one Redis.
pub(crate) fn nodes(redis: &Redis, count: usize, settings: &[&str]) -> Vec<Node> {
    let url = format!("broker.url={}", redis.url());
    (0..count).map(|_| node(&[settings, &[&url]].concat())).collect()
}

pub(crate) fn get(port: u16, target: &str, token: Option<&str>) -> Response {
    http(port, "GET", target, token, b"")
}

pub(crate) fn http(port: u16, method: &str, target: &str, token: Option<&str>, body: &[u8]) -> Response {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", &**bearer)).collect();
    request(port, method, target, &headers, body).unwrap()
}

/// An answer's body, in JSON.
pub(crate) fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

pub(crate) fn stream(port: u16, target: &str, token: &str) -> SseClient {
    let bearer = format!("Bearer {token}");
    let mut stream = SseClient::connect(port, target, &[("Authorization", &bearer)]).unwrap().unwrap();
    assert_eq!(stream.event().unwrap().event, "connected");
    stream
}

pub(crate) fn raw(port: u16, room: &str, token: &str) -> WsClient {
    WsClient::raw(port, &format!("/ws?room={room}&token={token}")).unwrap()
}

/// What a WebSocket is told.
#[derive(Debug)]
pub(crate) enum First {
    Message(Value),
    Close(u16),
}

/// A client of JSON mode.
#[derive(Debug)]
pub(crate) struct Json {
    pub(crate) ws: WsClient,
    /// What it was told before it asked anything.
    pub(crate) welcome: Value,
    asked: u64,
}

impl Json {
    /// Connects with this token, or none; the code of the close if it is not let in.
    pub(crate) fn connect(port: u16, target: &str, token: Option<&str>) -> Result<Self, u16> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("Sec-WebSocket-Protocol", "roomcast.v1")];
        headers.extend(bearer.iter().map(|bearer| ("Authorization", &**bearer)));
        let mut ws = WsClient::connect(port, target, &headers).unwrap().unwrap();
        match first(&mut ws) {
            First::Message(welcome) => {
                assert_eq!(welcome["type"], "welcome", "{welcome}");
                Ok(Self { ws, welcome, asked: 0 })
            }
            First::Close(code) => Err(code),
        }
    }

    pub(crate) fn open(port: u16, token: &str) -> Self {
        Self::connect(port, "/ws", Some(token)).unwrap()
    }

    pub(crate) fn nobody(port: u16) -> Self {
        Self::connect(port, "/ws", None).unwrap()
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> Value {
        match first(&mut self.ws) {
            First::Message(message) => message,
            First::Close(code) => panic!("closed with {code}"),
        }
    }

    /// Reads until something fits.
    #[track_caller]
    pub(crate) fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.next();
            if fits(&message) {
                return message;
            }
        }
    }

    /// Sends a command; gives its answer. What comes before that is dropped.
    #[track_caller]
    pub(crate) fn ask(&mut self, mut command: Value) -> Value {
        self.asked += 1;
        let reference = json!(self.asked);
        command["ref"] = reference.clone();
        self.ws.send_text(&command.to_string()).unwrap();
        self.until(|message| message["ref"] == reference)
    }

    #[track_caller]
    pub(crate) fn subscribe(&mut self, room: &str) {
        let answer = self.ask(json!({"type": "subscribe", "room": room}));
        assert_eq!(answer["type"], "subscribed", "{answer}");
    }

    /// Everything that was sent before this was asked has come by then: the types and rooms of it.
    pub(crate) fn pending(&mut self) -> Vec<String> {
        self.ws.send_text(r#"{"type":"ping"}"#).unwrap();
        let mut all = Vec::new();
        loop {
            let message = self.next();
            if message["type"] == "pong" {
                return all;
            }
            let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
            all.push(format!("{} {}", text("type"), text("room")));
        }
    }

    pub(crate) fn close_code(&mut self) -> u16 {
        self.ws.close_code().unwrap().unwrap()
    }
}

/// The next message of a WebSocket, or its close.
pub(crate) fn first(ws: &mut WsClient) -> First {
    let frame = ws.message().unwrap();
    match frame.close_code() {
        Some(code) => First::Close(code),
        None => First::Message(serde_json::from_str(&frame.text()).unwrap()),
    }
}

/// Whether a raw WebSocket is in: it answers a ping, or tells why it closes.
pub(crate) fn raw_end(ws: &mut WsClient) -> Option<u16> {
    // One that is closed already may not take it.
    let _ = ws.send_frame(0x89, b"?");
    loop {
        let frame = ws.frame().unwrap();
        match frame.first {
            0x8a => return None,
            0x88 => return frame.close_code(),
            _ => {}
        }
    }
}
