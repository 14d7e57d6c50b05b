//! What clients and publishers send.

use super::plan::{Plan, Target, Transport};

/// What a client sends first. `cursor` is where a poll begins.
pub(super) fn open(plan: &Plan, target: &Target, room: &str) -> Vec<u8> {
    let websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    match plan.transport {
        Transport::WsRaw => get(plan, target, &format!("/ws?room={room}"), websocket),
        Transport::WsJson => {
            let headers = format!("{websocket}Sec-WebSocket-Protocol: roomcast.v1\r\n");
            get(plan, target, &format!("/ws?room={room}"), &headers)
        }
        Transport::Sse => get(plan, target, &format!("/sse?room={room}"), "Accept: text/event-stream\r\n"),
        Transport::Poll => get(plan, target, &format!("/poll?room={room}&wait=0"), ""),
    }
}

/// The next poll.
pub(super) fn poll(plan: &Plan, target: &Target, room: &str, cursor: Option<&str>) -> Vec<u8> {
    let after = cursor.map(|cursor| format!("&after={cursor}")).unwrap_or_default();
    get(plan, target, &format!("/poll?room={room}{after}&wait=25"), "")
}

/// What a publisher over WebSocket sends first: it is in no room.
pub(super) fn publisher(plan: &Plan, target: &Target) -> Vec<u8> {
    open(&Plan { transport: Transport::WsJson, ..plan.clone() }, target, "")
}

fn get(plan: &Plan, target: &Target, path: &str, headers: &str) -> Vec<u8> {
    // A publisher names no room.
    let path = path.strip_suffix("?room=").unwrap_or(path);
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{}{headers}\r\n", target.authority, authorization(plan))
        .into_bytes()
}

/// Publishes by HTTP.
pub(super) fn post(plan: &Plan, target: &Target, room: &str, payload: &[u8], out: &mut Vec<u8>) {
    let head = format!(
        "POST /rooms/{room}/messages HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        target.authority,
        authorization(plan),
        payload.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(payload);
}

fn authorization(plan: &Plan) -> String {
    plan.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default()
}

/// A Redis command.
pub(super) fn redis(parts: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}
