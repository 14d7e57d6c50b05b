//! One connection that publishes, and what is under way.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::plan::{Plan, PublishBy, Transport};
use super::scan::{Answers, Heard, RespScanner, WsScanner};
use super::{floor, request, socket};

/// Bytes that may wait to be written; while there are more, what is due becomes late.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// Publications that may be without an answer; while there are more, what is due becomes late.
const UNANSWERED_MAX: usize = 16 * 1024;

/// A publisher.
#[derive(Debug)]
pub(super) struct Publisher {
    number: usize,
    by: PublishBy,
    socket: Option<OwnedFd>,
    state: State,
    /// What is to be written.
    out: Vec<u8>,
    /// Streams of the publications that are not answered, in order.
    unanswered: VecDeque<usize>,
    /// Answers that do not belong to a publication.
    greetings: usize,
    answers: Reader,
    /// By stream.
    accepted: BTreeMap<usize, u64>,
    refused: u64,
    /// Why it cannot publish any more.
    failure: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    /// Waits for the welcome of JSON mode.
    Asked,
    Ready,
}

#[derive(Debug)]
enum Reader {
    Redis(RespScanner),
    WebSocket(WsScanner),
    Http(Answers),
    /// The floor says nothing.
    Floor,
}

impl Publisher {
    /// Begins to connect.
    pub(super) fn begin(plan: &Plan, number: usize) -> io::Result<Self> {
        let redis =
            plan.redis.as_ref().filter(|_| matches!(plan.publish, PublishBy::Redis | PublishBy::Function));
        let address: SocketAddr = redis.map_or_else(|| plan.target(number).address, |redis| redis.address);
        Ok(Self {
            number,
            by: plan.publish,
            socket: Some(socket::begin(address, None)?),
            state: State::Connecting,
            out: Vec::new(),
            unanswered: VecDeque::new(),
            greetings: 0,
            answers: match plan.publish {
                PublishBy::Redis | PublishBy::Function => Reader::Redis(RespScanner::default()),
                PublishBy::WebSocket => Reader::WebSocket(WsScanner::new(true)),
                PublishBy::Http => Reader::Http(Answers::default()),
                PublishBy::Floor => Reader::Floor,
            },
            accepted: BTreeMap::new(),
            refused: 0,
            failure: None,
        })
    }

    /// Its socket, while it has one.
    pub(super) fn socket(&self) -> Option<&OwnedFd> {
        self.socket.as_ref()
    }

    /// Whether it can publish.
    pub(super) fn is_ready(&self) -> bool {
        self.state == State::Ready
    }

    /// Why it cannot publish any more.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether it waits for the connection.
    pub(super) fn is_connecting(&self) -> bool {
        self.state == State::Connecting
    }

    /// Whether there is something that could not be written at once.
    pub(super) fn has_waiting(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether more may be published now.
    pub(super) fn has_room(&self) -> bool {
        self.failure.is_some() || self.out.len() < WAITING_BYTES_MAX && self.unanswered.len() < UNANSWERED_MAX
    }

    /// Whether everything is written and answered.
    pub(super) fn is_done(&self) -> bool {
        self.failure.is_some() || self.out.is_empty() && self.unanswered.is_empty()
    }

    /// By stream: how many were accepted.
    pub(super) fn accepted(&self) -> &BTreeMap<usize, u64> {
        &self.accepted
    }

    /// How many were refused, and how many have no answer.
    pub(super) fn refused_and_in_doubt(&self) -> (u64, u64) {
        (self.refused, self.unanswered.len() as u64)
    }

    /// The connection is there, or came to nothing.
    pub(super) fn connected(&mut self, plan: &Plan) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket::connected(socket) {
            return self.fail(format!("cannot connect: {error}"));
        }
        self.state = State::Ready;
        match self.by {
            PublishBy::WebSocket => {
                self.state = State::Asked;
                self.out = request::publisher(plan, plan.target(self.number));
            }
            PublishBy::Redis | PublishBy::Function => {
                if let Some((user, password)) = plan.redis.as_ref().and_then(|redis| redis.auth.as_ref()) {
                    let mut parts = vec![&b"AUTH"[..], user.as_bytes(), password.as_bytes()];
                    parts.retain(|part| !part.is_empty());
                    request::redis(&parts, &mut self.out);
                    self.greetings = 1;
                }
            }
            PublishBy::Floor => self.out.extend_from_slice(floor::PUBLISHER_GREETING),
            PublishBy::Http => {}
        }
        self.flush();
    }

    /// Publishes a payload; to be followed by [`flush`](Self::flush).
    pub(super) fn publish(&mut self, plan: &Plan, stream: usize, payload: &[u8]) {
        if self.failure.is_some() {
            self.refused += 1;
            return;
        }
        let number = plan.stream(stream).room;
        let room = plan.room_name(number);
        match self.by {
            PublishBy::Redis | PublishBy::Function => {
                let channel = format!("{}{room}", plan.channel_prefix);
                if self.by == PublishBy::Redis {
                    request::redis(&[b"PUBLISH", channel.as_bytes(), payload], &mut self.out);
                } else {
                    let parts = [b"FCALL", &b"roomcast_publish"[..], b"1", channel.as_bytes(), payload];
                    request::redis(&parts, &mut self.out);
                }
            }
            PublishBy::WebSocket => {
                let payload = String::from_utf8_lossy(payload);
                let text = format!("{{\"type\":\"publish\",\"room\":\"{room}\",\"data\":{payload}}}");
                self.out.extend(crate::ws::frame(0x81, text.as_bytes()));
            }
            PublishBy::Http => request::post(plan, plan.target(self.number), &room, payload, &mut self.out),
            PublishBy::Floor => {
                let bytes = on_the_wire(plan.transport, &room, payload);
                floor::write_publication(number as u32, &bytes, &mut self.out);
                *self.accepted.entry(stream).or_default() += 1;
                return;
            }
        }
        self.unanswered.push_back(stream);
    }

    /// Writes what goes now.
    pub(super) fn flush(&mut self) {
        let Some(socket) = &self.socket else { return };
        match socket::write(socket, &self.out) {
            Ok(written) => drop(self.out.drain(..written)),
            Err(error) => self.fail(format!("cannot write: {}", error.kind())),
        }
    }

    /// Reads answers.
    pub(super) fn read(&mut self, buffer: &mut [u8]) {
        let Some(socket) = &self.socket else { return };
        let len = match socket::read(socket, buffer) {
            Ok(None) => return,
            Ok(Some(0)) => return self.fail("the connection was closed".to_owned()),
            Ok(Some(len)) => len,
            Err(error) => return self.fail(format!("cannot read: {}", error.kind())),
        };
        let mut answers: Vec<bool> = Vec::new();
        let (mut failure, mut pongs, mut is_welcome) = (None, Vec::new(), false);
        let fed = match &mut self.answers {
            Reader::Redis(scanner) => {
                scanner.feed(&buffer[..len], &mut |answer| answers.push(answer.is_ok()))
            }
            Reader::Http(scanner) => {
                scanner.feed(&buffer[..len], &mut |answer| answers.push(answer.status == 202))
            }
            Reader::WebSocket(scanner) => scanner.feed(&buffer[..len], &mut |heard| match heard {
                Heard::Open => is_welcome = true,
                Heard::Answered(good) => answers.push(good),
                Heard::Ping(payload) => pongs.extend(crate::ws::frame(0x8a, payload)),
                Heard::Refused(status) => failure = Some(format!("refused with {status}")),
                Heard::Close(code) => failure = Some(format!("closed with {}", code.unwrap_or(1005))),
                Heard::Data(_) | Heard::Told | Heard::Polled(_) => {}
            }),
            Reader::Floor => Ok(()),
        };
        if is_welcome {
            self.state = State::Ready;
        }
        self.out.extend(pongs);
        for good in answers {
            self.answered(good);
        }
        if let Some(failure) = failure.or(fed.err().map(|broken| broken.0.to_owned())) {
            self.fail(failure);
        }
    }

    fn answered(&mut self, good: bool) {
        if self.greetings > 0 {
            self.greetings -= 1;
            if !good {
                self.fail("Redis refuses the password".to_owned());
            }
            return;
        }
        let Some(stream) = self.unanswered.pop_front() else { return };
        if good {
            *self.accepted.entry(stream).or_default() += 1;
        } else {
            self.refused += 1;
        }
    }

    fn fail(&mut self, why: String) {
        self.failure = Some(why);
        self.socket = None;
        self.out = Vec::new();
    }
}

/// The bytes that a server would send to each member: what the floor writes.
fn on_the_wire(transport: Transport, room: &str, payload: &[u8]) -> Vec<u8> {
    match transport {
        Transport::WsRaw => unmasked(payload),
        Transport::WsJson => {
            let payload = String::from_utf8_lossy(payload);
            unmasked(
                format!(
                    "{{\"type\":\"message\",\"room\":\"{room}\",\"event\":\"message\",\"data\":{payload}}}"
                )
                .as_bytes(),
            )
        }
        Transport::Sse | Transport::Poll => [b"data: ", payload, b"\n\n"].concat(),
    }
}

/// A text frame as servers send it.
fn unmasked(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x81];
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len @ 126..=0xffff => {
            out.push(126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

/// What is under way in a closed loop: published, and not yet at all members that this process holds.
#[derive(Debug, Default)]
pub(super) struct Flights {
    /// By stream; those of others are not followed.
    streams: BTreeMap<usize, Flight>,
    /// Streams in which something has arrived everywhere.
    pub(super) landed: Vec<usize>,
}

#[derive(Debug, Default)]
struct Flight {
    /// The number of the oldest.
    first: u64,
    /// How many members lack each.
    lacking: VecDeque<usize>,
}

impl Flights {
    /// Follows a stream.
    pub(super) fn follow(&mut self, stream: usize) {
        self.streams.insert(stream, Flight::default());
        self.landed.push(stream);
    }

    /// How many are under way.
    pub(super) fn under_way(&self, stream: usize) -> usize {
        self.streams.get(&stream).map_or(0, |flight| flight.lacking.len())
    }

    /// One more is under way to so many members.
    pub(super) fn depart(&mut self, stream: usize, members: usize) {
        if let Some(flight) = self.streams.get_mut(&stream) {
            flight.lacking.push_back(members);
        }
    }

    /// A member has got it.
    pub(super) fn arrived(&mut self, stream: usize, number: u64) {
        if self.streams.is_empty() {
            return;
        }
        let Some(flight) = self.streams.get_mut(&stream) else { return };
        let lacking = number.checked_sub(flight.first).and_then(|i| flight.lacking.get_mut(i as usize));
        let Some(lacking) = lacking else { return };
        *lacking = lacking.saturating_sub(1);
        let before = flight.lacking.len();
        while flight.lacking.front() == Some(&0) {
            flight.lacking.pop_front();
            flight.first += 1;
        }
        if flight.lacking.len() < before {
            self.landed.push(stream);
        }
    }

    /// Nothing has arrived for long: what is under way is lost, and others take its place.
    pub(super) fn give_up(&mut self) {
        for (stream, flight) in &mut self.streams {
            flight.first += flight.lacking.len() as u64;
            flight.lacking.clear();
            self.landed.push(*stream);
        }
    }
}

#[cfg(test)]
#[path = "publisher_tests.rs"]
mod tests;
