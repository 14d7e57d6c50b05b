//! Publishers that do not give up: the same message with the same key until a node answers that the broker
//! has it.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use roomcast_bench::Response;
use roomcast_bench::checker::{Id, Message};
use roomcast_bench::http::{connect, read_response};

use crate::chaos::Random;
use crate::scene::Shared;

/// Messages over one connection, before another node's turn.
const TURN: u32 = 20;

/// Sends to all rooms in turn.
pub(crate) fn live(publisher: u32, shared: &Shared, pace: Duration) {
    let mut random = Random(1000 + u64::from(publisher));
    let mut connection = None;
    let mut next = Instant::now();
    for number in 0.. {
        if shared.enough.load(Ordering::Relaxed) {
            return;
        }
        if number % TURN == 0 {
            connection = None;
        }
        let room = &shared.rooms[(number as usize + publisher as usize) % shared.rooms.len()];
        let message = Message { publisher, number };
        let id = publish(shared, &mut connection, &mut random, room, message);
        shared.ledger.lock().unwrap().accept(room, id, message);
        shared.published.fetch_add(1, Ordering::Relaxed);
        // What was not sent in an outage is not made up for.
        next = (next + pace).max(Instant::now());
        std::thread::sleep(next - Instant::now());
    }
}

fn publish(
    shared: &Shared,
    connection: &mut Option<BufReader<TcpStream>>,
    random: &mut Random,
    room: &str,
    message: Message,
) -> Id {
    loop {
        if let Some(id) = attempt(shared, connection, random, room, message) {
            return id;
        }
        if shared.may_lose.load(Ordering::Relaxed) {
            shared.ledger.lock().unwrap().doubt(room, message);
        }
        *connection = None;
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn attempt(
    shared: &Shared,
    connection: &mut Option<BufReader<TcpStream>>,
    random: &mut Random,
    room: &str,
    message: Message,
) -> Option<Id> {
    if connection.is_none() {
        *connection = Some(BufReader::new(connect(shared.ports[random.below(shared.ports.len())]).ok()?));
    }
    let response = post(connection.as_mut()?, room, message)?;
    if response.status != 202 {
        // What a load balancer says for itself is a page, and no word of a node's.
        let of_balancer = response.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
        let may_repeat = response.status == 503 || of_balancer && matches!(response.status, 502 | 504);
        assert!(may_repeat, "{} {}", response.status, response.text());
        return None;
    }
    let text = response.text();
    let id = text.strip_prefix("{\"id\":\"").and_then(|rest| rest.strip_suffix("\"}")).and_then(Id::parse);
    Some(id.unwrap_or_else(|| panic!("no id: {text}")))
}

fn post(connection: &mut BufReader<TcpStream>, room: &str, message: Message) -> Option<Response> {
    let body = message.to_string();
    let key = format!("{}-{}", message.publisher, message.number);
    let request = format!(
        "POST /rooms/{room}/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.get_mut().write_all(request.as_bytes()).ok()?;
    read_response(connection).ok()
}
