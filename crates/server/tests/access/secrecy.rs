//! What is secret about a token is found nowhere that a node writes to.

use std::fmt::Write as _;
use std::process::Command;

use roomcast_bench::{SseClient, WsClient, request};
use serde_json::json;
use xtask::Redis;

use crate::{Json, KEYS, SECRET, all, get, http, node, now_s, raw, stream};

#[test]
fn tokens_and_keys_never_appear() {
    let redis = Redis::start().unwrap();
    let broker = format!("broker.url={}", redis.url());
    let node = node(&[
        "log.level=trace",
        "auth.cookie=session",
        "namespaces.default.history=10",
        "namespaces.default.presence=true",
        &broker,
    ]);
    let port = node.port();
    let good = all("alice");
    let expired = crate::mint(json!({"sub": "bob", "exp": now_s() - 600}));
    let changed = format!("{}x", all("carol"));
    let signature = |token: &str| token.rsplit('.').next().unwrap().to_owned();
    let mut seen = String::new();

    // Every way in and every way to fail, with each of them.
    let mut connected = (Json::open(port, &good), raw(port, "r", &good), stream(port, "/sse?room=r", &good));
    connected.0.subscribe("r");
    for token in [&good, &expired, &changed] {
        for (method, path) in [
            ("GET", "/poll?wait=0&room=r"),
            ("GET", "/poll?wait=0&room=@dave"),
            ("GET", "/rooms/r/history?x=1"),
            ("GET", "/rooms/r/presence?x=1"),
            ("POST", "/rooms/r/messages?x=1"),
            ("POST", "/rooms/a%20b/messages?x=1"),
            ("GET", "/nothing?x=1"),
            ("GET", "/sse?x=1"),
            ("GET", "/ws?x=1"),
            ("DELETE", "/rooms/r/messages?x=1"),
        ] {
            let cookie = format!("session={token}");
            for answer in [
                http(port, method, path, Some(token), b"1"),
                http(port, method, &format!("{path}&token={token}"), None, b"1"),
                request(port, method, path, &[("Cookie", &cookie), ("Origin", "https://evil.example")], b"")
                    .unwrap(),
            ] {
                writeln!(seen, "{:?} {}", answer.headers, answer.text()).unwrap();
            }
        }
        // HTTP/2 is another library, with a log of its own.
        let poll = format!("http://127.0.0.1:{port}/poll?wait=0&room=r");
        let (bearer, cookie) = (format!("Authorization: Bearer {token}"), format!("Cookie: session={token}"));
        let in_url = format!("{poll}&token={token}");
        for arguments in [["-H", &bearer, &poll], ["-H", &cookie, &poll], ["-s", "-S", &in_url]] {
            let mut command = Command::new("curl");
            let output = command.args(["-s", "--http2-prior-knowledge"]).args(arguments).output().unwrap();
            assert!(output.status.success());
            seen += &String::from_utf8_lossy(&output.stdout);
        }
        for target in ["/ws?room=r", "/ws?room=@dave", "/ws"] {
            let mut ws =
                WsClient::raw(port, &format!("{target}&token={token}").replace("ws&", "ws?")).unwrap();
            let _ = ws.send_frame(0x88, &1000_u16.to_be_bytes());
            while let Ok(frame) = ws.frame() {
                writeln!(seen, "{}", frame.text()).unwrap();
            }
        }
        drop(SseClient::connect(port, &format!("/sse?room=r&token={token}"), &[]).unwrap());
        let mut later = Json::nobody(port);
        writeln!(seen, "{}", later.ask(json!({"type": "auth", "token": token}))).unwrap();
        let mut broken = Json::nobody(port);
        for text in [format!("{{\"type\":\"auth\",\"token\":\"{token}\""), json!({"type": token}).to_string()]
        {
            broken.ws.send_text(&text).unwrap();
            // An unknown type is said back, but only its beginning.
            writeln!(seen, "{}", broken.next()).unwrap();
        }
    }
    for path in
        ["/api/connections", "/api/rooms", "/api/nodes", "/api/rooms/r/presence", "/api/rooms/r/history"]
    {
        writeln!(seen, "{}", get(node.admin_port(), path, None).text()).unwrap();
    }
    writeln!(seen, "{}", get(node.admin_port(), "/metrics", None).text()).unwrap();
    writeln!(seen, "{}", get(port, "/", None).text()).unwrap();
    let log = node.output();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "everything is logged that can be: {log}");
    assert!(seen.contains("alice") && seen.contains("has expired") && seen.len() > 10_000);
    let command = String::from_utf8_lossy(&std::fs::read(format!("/proc/{}/cmdline", node.pid())).unwrap())
        .into_owned();
    assert!(command.contains(KEYS), "the key is on this test's command line, and nowhere else");
    for secret in [SECRET, &signature(&good), &signature(&expired), &signature(&changed)] {
        for (place, text) in [("answers", &seen), ("log", &log)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "a secret in the {place}");
        }
    }
}
