//! The readers against the bytes that the server's own encoder makes, split anywhere.

use bytes::Bytes;
use roomcast_protocol::wire::{sse, ws_frame};
use roomcast_protocol::{Close, Payload, Publication, Push, Room, WireForm};

use super::*;

/// What was heard, in words.
fn heard(scanner: &mut Scanner, parts: &[&[u8]]) -> Result<Vec<String>, Broken> {
    let mut all = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for part in parts {
        scanner.feed(part, &mut |heard| {
            all.push(match heard {
                Heard::Data(data) => format!("data {}", text(data)),
                Heard::Ping(payload) => format!("ping {}", text(payload)),
                other => format!("{other:?}"),
            });
        })?;
    }
    Ok(all)
}

/// The same is heard wherever the bytes are split in two, and byte by byte.
#[track_caller]
fn check(new: impl Fn() -> Scanner, stream: &[u8], expected: &[&str]) {
    for at in 0..=stream.len() {
        let (before, after) = stream.split_at(at);
        let parts: Vec<&[u8]> = [before, after].into_iter().filter(|part| !part.is_empty()).collect();
        assert_eq!(heard(&mut new(), &parts).unwrap(), expected, "split at {at}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(heard(&mut new(), &bytes).unwrap(), expected, "byte by byte");
}

fn encoded(form: WireForm, payload: &str) -> Bytes {
    let payload = Payload::untyped(payload.to_owned());
    Push::new(Publication::plain(Room::parse("r").unwrap(), payload)).form(form).clone()
}

const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";

#[test]
fn raw_frames() {
    let long = "y".repeat(300);
    let stream = [
        UPGRADED,
        &encoded(WireForm::WebSocketRaw, "hi"),
        ws_frame::EMPTY_PING,
        &encoded(WireForm::WebSocketRaw, &long),
        &encoded(WireForm::WebSocketRaw, ""),
        &ws_frame::pong(b"x"),
        &ws_frame::close(&Close::new(4408, "slow")),
    ];
    let data = format!("data {long}");
    let expected = ["Open", "data hi", "ping ", &data, "data ", "Close(Some(4408))"];
    check(|| Scanner::Ws(WsScanner::new(false)), &stream.concat(), &expected);
    // Lengths of all three kinds.
    let longest = "z".repeat(70_000);
    let stream = [UPGRADED, &encoded(WireForm::WebSocketRaw, &longest)].concat();
    let parts: Vec<&[u8]> = stream.chunks(999).collect();
    let all = heard(&mut Scanner::Ws(WsScanner::new(false)), &parts).unwrap();
    assert_eq!(all, ["Open".to_owned(), format!("data {longest}")]);
}

#[test]
fn json_frames() {
    let message = encoded(WireForm::WebSocketJson, "{\"a\":1}");
    let stream = [
        UPGRADED,
        &ws_frame::text(b"{\"type\":\"welcome\",\"connection\":\"c\"}"),
        &message,
        &ws_frame::text(b"{\"type\":\"reset\",\"room\":\"r\"}"),
        &ws_frame::text(b"{\"type\":\"pong\"}"),
        &ws_frame::text(b"{\"type\":\"ok\",\"id\":null}"),
        &ws_frame::text(b"{\"type\":\"error\",\"code\":\"rate_limited\"}"),
    ];
    let data = format!("data {}", String::from_utf8_lossy(&message[2..]));
    let expected = ["Open", &data, "Told", "Answered(true)", "Answered(false)"];
    check(|| Scanner::Ws(WsScanner::new(true)), &stream.concat(), &expected);
}

#[test]
fn events() {
    let events = [
        &sse::greeting(2000, None, b"{}")[..],
        &encoded(WireForm::Sse, "hi"),
        sse::PING,
        &sse::event(Some("reset"), None, "{\"room\":\"r\"}"),
        &encoded(WireForm::Sse, "a\nb"),
    ];
    let expected = ["Open", "data data: hi", "data : ping", "Told", "data data: a\ndata: b"];
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    let plain = [&head[..], b"\r\n", &events.concat()].concat();
    check(|| Scanner::Sse(SseScanner::default()), &plain, &expected);
    // Chunks that end where the events do not.
    let mut chunked = [&head[..], b"Transfer-Encoding: chunked\r\n\r\n"].concat();
    for chunk in events.concat().chunks(17) {
        chunked.extend(format!("{:X}\r\n", chunk.len()).as_bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    check(|| Scanner::Sse(SseScanner::default()), &chunked, &expected);
}

#[test]
fn polls() {
    let message = encoded(WireForm::Poll, "hi");
    let answer = |messages: &str, cursor: &str, reset: &str| {
        let body = format!("{{\"messages\":[{messages}],\"cursor\":{cursor},\"reset\":{reset}}}");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        (head + &body, format!("data {body}"))
    };
    let (first, first_data) = answer("", "\"1-2\"", "[]");
    let (second, second_data) = answer(&String::from_utf8_lossy(&message), "\"1-3\"", "[]");
    let (third, third_data) = answer("", "null", "[\"r\"]");
    let expected = [
        "Open",
        &first_data,
        "Polled(Some(\"1-2\"))",
        &second_data,
        "Polled(Some(\"1-3\"))",
        &third_data,
        "Told",
        "Polled(None)",
    ];
    check(|| Scanner::Poll(PollScanner::default()), (first + &second + &third).as_bytes(), &expected);
}

#[test]
fn refusals() {
    let refusal = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno";
    for new in [
        || Scanner::Ws(WsScanner::new(false)),
        || Scanner::Sse(SseScanner::default()),
        || Scanner::Poll(PollScanner::default()),
    ] {
        assert_eq!(heard(&mut new(), &[refusal]).unwrap(), ["Refused(503)"]);
    }
}

#[test]
fn what_no_server_may_send() {
    let ws = |frame: &[u8]| heard(&mut Scanner::Ws(WsScanner::new(false)), &[UPGRADED, frame]).unwrap_err().0;
    assert!(ws(&[0x81, 0x80, 0, 0, 0, 0]).contains("masks"));
    assert!(ws(&[0x01, 1, b'x']).contains("fragment"));
    assert!(ws(&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).contains("8 MiB"));
    let sse = |body: &[u8]| {
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        heard(&mut Scanner::Sse(SseScanner::default()), &[head, body]).unwrap_err().0
    };
    assert!(sse(b"zz\r\n").contains("without a size"));
    assert!(sse(&[b'0'; 40]).contains("32 bytes"));
    let garbage = heard(&mut Scanner::Poll(PollScanner::default()), &[b"hello\r\n\r\n"]);
    assert!(garbage.unwrap_err().0.contains("not HTTP/1.1"));
}

#[test]
fn answers_of_redis() {
    let stream = b":3\r\n+OK\r\n-OOM command not allowed\r\n$4\r\n1-\r\n\r\n$-1\r\n:0\r\n";
    for at in 0..=stream.len() {
        let (mut scanner, mut answers) = (RespScanner::default(), Vec::new());
        for part in [&stream[..at], &stream[at..]] {
            scanner.feed(part, &mut |answer| answers.push(answer.map_err(str::to_owned))).unwrap();
        }
        let error = Err("OOM command not allowed".to_owned());
        assert_eq!(answers, [Ok(()), Ok(()), error, Ok(()), Ok(()), Ok(())], "split at {at}");
    }
    let broken = |bytes| RespScanner::default().feed(bytes, &mut |_| {}).unwrap_err().0;
    assert!(broken(b"*1\r\n").contains("publishing does not give"));
    assert!(broken(b"$x\r\n").contains("bad length"));
}
