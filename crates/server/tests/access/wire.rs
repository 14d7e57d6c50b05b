//! Bad tokens, as they come over the wire: each is refused in the way of its transport, and none does harm.

use std::io::ErrorKind;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roomcast_bench::{Response, SseClient, WsClient, request};
use roomcast_session::auth::{Algorithm, SigningKey, sign};
use serde_json::{Value, json};
use xtask::Node;

use crate::{BINARY, Json, SECRET, all, body, everywhere, get, http, mint, now_s};

/// A public key is no secret: whoever signs with its bytes as if it were one must not get in.
const PUBLIC: &str = include_str!("../keys/es256.pem");

fn node() -> Node {
    let key = std::env::temp_dir().join(format!("roomcast-access-{}.pem", std::process::id()));
    std::fs::write(&key, PUBLIC).unwrap();
    let keys = format!("auth.keys=HS256/main:text:{SECRET},ES256/other:file:{}", key.display());
    let settings =
        [&*keys, "auth.issuer=https://issuer.example", "auth.audience=roomcast", "auth.cookie=session"];
    let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    Node::start(BINARY, &arguments).unwrap()
}

fn good_claims() -> Value {
    json!({
        "sub": "alice", "rooms": everywhere(), "iss": "https://issuer.example", "aud": ["x", "roomcast"],
        "exp": now_s() + 60,
    })
}

fn with(name: &str, value: Value) -> String {
    let mut claims = good_claims();
    claims[name] = value;
    mint(claims)
}

fn signed(algorithm: Algorithm, secret: &[u8], kid: Option<&str>) -> String {
    sign(&SigningKey::read(algorithm, secret).unwrap(), kid, &good_claims()).unwrap()
}

/// A header and claims of one's own, and something in the place of the signature.
fn forged(header: &Value, signature: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", encode(header), encode(&good_claims()))
}

/// The library does not sign with what is no secret, so another program does.
fn signed_with_the_public_key(kid: Option<&str>) -> String {
    let mut header = json!({"alg": "HS256"});
    kid.inspect(|kid| header["kid"] = json!(kid));
    let message = forged(&header, "");
    let code = "const [m,k]=process.argv.slice(1);\
        process.stdout.write(require('crypto').createHmac('sha256',k).update(m).digest('base64url'))";
    let arguments = ["-e", code, message.trim_end_matches('.'), PUBLIC];
    let output = Command::new("node").args(arguments).output().unwrap();
    assert!(output.status.success());
    message + &String::from_utf8(output.stdout).unwrap()
}

/// What is wrong with each, in words of the answer.
fn bad() -> Vec<(String, &'static str)> {
    let good = mint(good_claims());
    let (unsigned, signature) = good.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    let none = json!({"alg": "none"});
    vec![
        (with("exp", json!(now_s() - 60)), "has expired"),
        (with("exp", json!(1)), "has expired"),
        (with("exp", json!("soon")), "must be numbers"),
        (with("exp", Value::Null), "no exp claim"),
        (with("nbf", json!(now_s() + 600)), "not valid yet"),
        (with("iss", json!("https://evil.example")), "iss claim"),
        (with("aud", json!("others")), "aud claim"),
        (with("aud", json!([])), "aud claim"),
        (with("sub", json!(7)), "claim sub"),
        (with("sub", json!("")), "claim sub"),
        (with("rooms", json!(["*"])), "claim rooms"),
        (with("rooms", json!({"subscribe": ["{user}"]})), "braces"),
        (signed(Algorithm::HS256, &[7; 32], None), "signature is wrong"),
        (signed(Algorithm::HS256, &[7; 32], Some("main")), "signature is wrong"),
        (signed(Algorithm::HS512, &[7; 64], Some("main")), "another algorithm"),
        // The public key as a secret, under its own name and without one.
        (signed_with_the_public_key(Some("other")), "another algorithm"),
        (signed_with_the_public_key(None), "signature is wrong"),
        (forged(&none, ""), "not signed"),
        (forged(&none, signature), "not signed"),
        (forged(&json!({"alg": "None"}), ""), ""),
        (forged(&json!({"alg": "RS256", "kid": "main"}), signature), "another algorithm"),
        (forged(&json!({"alg": "HS256", "crit": ["exp"]}), signature), "crit"),
        (forged(&json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}}), &flipped), ""),
        (format!("{unsigned}.{flipped}"), ""),
        (format!("{unsigned}."), ""),
        (unsigned.to_owned(), "not a signed"),
        (good[..good.len() / 2].to_owned(), ""),
        (good[..good.len() - 2].to_owned(), ""),
        (format!("{good}."), "not a signed"),
        (format!("{good}AA"), ""),
        ("junk".to_owned(), "not a signed"),
        ("..".to_owned(), ""),
        ("%00".to_owned(), "not a signed"),
        ("a.b.c".to_owned(), ""),
        ("x".repeat(7_000), "not a signed"),
    ]
}

#[test]
fn bad_tokens_are_refused_on_every_way_in() {
    let node = node();
    let port = node.port();
    let accepted = mint(good_claims());
    assert_eq!(get(port, "/poll?room=r&wait=0", Some(&accepted)).status, 200);
    for (token, words) in bad() {
        let refused = |response: &Response| {
            assert_eq!(response.status, 401, "{token}: {}", response.text());
            assert_eq!(response.header("www-authenticate"), Some("Bearer"));
            let detail = body(response)["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(words), "{token}: {detail}");
        };
        refused(&get(port, "/sse?room=r", Some(&token)));
        refused(&get(port, &format!("/poll?room=r&wait=0&token={token}"), None));
        let cookie = format!("session={token}");
        refused(&request(port, "GET", "/rooms/r/history", &[("Cookie", &cookie)], b"").unwrap());
        refused(&http(port, "POST", "/rooms/r/messages", Some(&token), b"1"));
        refused(&get(port, "/rooms/r/presence", Some(&token)));
        let raw = WsClient::raw(port, &format!("/ws?room=r&token={token}"));
        assert_eq!(raw.unwrap().close_code().unwrap(), Some(4401), "{token}");
        assert_eq!(Json::connect(port, "/ws", Some(&token)).err(), Some(4401), "{token}");
        let mut later = Json::nobody(port);
        let answer = later.ask(json!({"type": "auth", "token": token}));
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("unauthorized")));
        assert!(answer["message"].as_str().unwrap().contains(words), "{token}: {answer}");
        assert_eq!(later.close_code(), 4401, "who is nobody yet has nothing to go on with");
        // One that is somebody goes on as before.
        let mut somebody = Json::open(port, &accepted);
        assert_eq!(somebody.ask(json!({"type": "auth", "token": token}))["code"], "unauthorized");
        assert_eq!(somebody.ask(json!({"type": "ping"}))["type"], "pong");
    }
    assert_eq!(get(port, "/poll?room=r&wait=0", Some(&accepted)).status, 200);
}

#[test]
fn anything_in_the_place_of_a_token_is_an_error_of_that_command() {
    let node = node();
    let mut client = Json::nobody(node.port());
    for token in [json!(null), json!(1), json!({}), json!(["a"])] {
        client.ws.send_text(&json!({"type": "auth", "token": token}).to_string()).unwrap();
        let answer = client.next();
        assert_eq!(answer["code"], "bad_request", "{answer}");
    }
    assert_eq!(client.ask(json!({"type": "auth"}))["code"], "bad_request");
    assert_eq!(client.ask(json!({"type": "auth", "token": mint(good_claims())}))["type"], "ok");
}

#[test]
fn endless_tokens_cost_their_senders_an_answer() {
    let node = node();
    let port = node.port();
    let descriptors = node.descriptors().unwrap();
    for len in [8_193, 100_000, 1 << 20] {
        let token = format!("{}.{}.{}", "a".repeat(len / 3), "b".repeat(len / 3), "c".repeat(len / 3));
        let (in_header, in_url): (&[u16], &[u16]) =
            if len < 10_000 { (&[401], &[414]) } else { (&[431], &[414, 431]) };
        // A refusal may come, and the connection end, before a megabyte has been sent; then the client sees the end only.
        let is_cut_off = |error: &std::io::Error| {
            len == 1 << 20 && matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
        };
        let check = |result: std::io::Result<Response>, expected: &[u16]| match result {
            Ok(answer) => assert!(expected.contains(&answer.status), "{len}: {}", answer.status),
            Err(error) => assert!(is_cut_off(&error), "{len}: {error}"),
        };
        let bearer = format!("Bearer {token}");
        let (in_url_target, cookie) = (format!("/sse?room=r&token={token}"), format!("session={token}"));
        check(request(port, "GET", "/sse?room=r", &[("Authorization", &bearer)], b""), in_header);
        check(request(port, "GET", &in_url_target, &[], b""), in_url);
        check(request(port, "POST", "/rooms/r/messages", &[("Cookie", &cookie)], b"1"), in_header);
        match WsClient::connect(port, "/ws?room=r", &[("Authorization", &bearer)]) {
            Ok(Ok(mut ws)) => assert_eq!((ws.close_code().unwrap(), len), (Some(4401), 8_193)),
            Ok(Err(response)) => check(Ok(response), in_header),
            Err(error) => check(Err(error), in_header),
        }
        match SseClient::connect(port, &in_url_target, &[]) {
            Ok(stream) => assert!(stream.is_err()),
            Err(error) => check(Err(error), in_url),
        }
        let mut client = Json::nobody(port);
        // The server may close before it has been sent whole.
        let _ = client.ws.send_text(&json!({"type": "auth", "token": token}).to_string());
        let code = client.close_code();
        assert!([1009, 4401].contains(&code), "{len}: {code}");
    }
    assert_eq!(get(port, "/poll?room=r&wait=0", Some(&mint(good_claims()))).status, 200);
    xtask::wait_until("nothing is left of it", || node.descriptors().unwrap() <= descriptors + 2);
    assert!(all("alice").len() < 8_192);
}
