//! One client: connects, becomes a member of its room, and counts what comes.

use std::io;
use std::os::fd::OwnedFd;

use super::latency::Latency;
use super::plan::{Plan, Transport};
use super::publisher::Flights;
use super::scan::{Heard, PollScanner, Scanner, SseScanner, WsScanner};
use super::stamp::{Finder, now_ns};
use super::tally::{Counts, Track};
use super::{request, socket};

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    /// Which one of all.
    number: usize,
    room: usize,
    /// Gone when the connection has ended.
    socket: Option<OwnedFd>,
    scanner: Scanner,
    state: State,
    began_ns: u64,
    /// One for each stream of its room.
    tracks: Vec<Track>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Connecting,
    Asked,
    Open,
}

/// What clients share.
#[derive(Debug)]
pub(super) struct Ears {
    pub(super) finder: Finder,
    pub(super) counts: Counts,
    pub(super) latency: Latency,
    pub(super) flights: Flights,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on.
    Going,
    /// It has become a member, this many ns after it began.
    Opened(u64),
    /// The connection is over, and why.
    Ended(String),
}

impl Client {
    /// Begins to connect. `from_start`: nothing is published yet, so it should get everything.
    pub(super) fn begin(plan: &Plan, number: usize, from_start: bool) -> io::Result<Self> {
        let room = number % plan.rooms;
        let scanner = match plan.transport {
            Transport::WsRaw => Scanner::Ws(WsScanner::new(false)),
            Transport::WsJson => Scanner::Ws(WsScanner::new(true)),
            Transport::Sse => Scanner::Sse(SseScanner::default()),
            Transport::Poll => Scanner::Poll(PollScanner::default()),
        };
        let track = if from_start { Track::from_start } else { Track::from_now };
        Ok(Self {
            number,
            room,
            socket: Some(socket::begin(plan.target(number).address, Some(number))?),
            scanner,
            state: State::Connecting,
            began_ns: now_ns(),
            tracks: plan.streams_of(room).map(|_| track()).collect(),
        })
    }

    /// Its socket, while it has one.
    pub(super) fn socket(&self) -> Option<&OwnedFd> {
        self.socket.as_ref()
    }

    /// Whether it is a member.
    pub(super) fn is_open(&self) -> bool {
        self.socket.is_some() && self.state == State::Open
    }

    /// Whether it has been connecting since before then.
    pub(super) fn connects_since(&self, before_ns: u64) -> bool {
        self.socket.is_some() && self.state != State::Open && self.began_ns < before_ns
    }

    /// Which one of all.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Its room.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Whether it waits for the connection, rather than for bytes.
    pub(super) fn is_connecting(&self) -> bool {
        self.state == State::Connecting
    }

    /// The connection is there, or came to nothing: asks for the room.
    pub(super) fn ask(&mut self, plan: &Plan) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        socket::connected(socket)?;
        self.state = State::Asked;
        send(socket, &request::open(plan, plan.target(self.number), &plan.room_name(self.room)))
    }

    /// Reads what has come.
    pub(super) fn read(&mut self, plan: &Plan, buffer: &mut [u8], ears: &mut Ears) -> Outcome {
        let Some(socket) = &self.socket else { return Outcome::Going };
        let len = match socket::read(socket, buffer) {
            Ok(None) => return Outcome::Going,
            Ok(Some(0)) => return Outcome::Ended("the server closed the connection".to_owned()),
            Ok(Some(len)) => len,
            Err(error) => return Outcome::Ended(error.kind().to_string()),
        };
        self.hear(plan, &buffer[..len], ears)
    }

    fn hear(&mut self, plan: &Plan, input: &[u8], ears: &mut Ears) -> Outcome {
        let now = now_ns();
        let (room, number, tracks, state) = (self.room, self.number, &mut self.tracks, &mut self.state);
        let mut outcome = Outcome::Going;
        let mut reply = Vec::new();
        let before = ears.counts.came();
        let fed = self.scanner.feed(input, &mut |heard| match heard {
            Heard::Data(data) => ears.receive(plan, room, tracks, data, now),
            Heard::Open => {
                *state = State::Open;
                outcome = Outcome::Opened(now.saturating_sub(self.began_ns));
            }
            Heard::Refused(status) => outcome = Outcome::Ended(format!("refused with {status}")),
            Heard::Close(Some(code)) => outcome = Outcome::Ended(format!("closed with {code}")),
            Heard::Close(None) => outcome = Outcome::Ended("closed without a code".to_owned()),
            Heard::Ping(payload) => reply.extend(crate::ws::frame(0x8a, payload)),
            Heard::Told => ears.counts.told += 1,
            Heard::Polled(cursor) => {
                reply.extend(request::poll(plan, plan.target(number), &plan.room_name(room), cursor));
            }
            Heard::Answered(_) => {}
        });
        ears.counts.reads += u64::from(ears.counts.came() > before);
        if let Err(broken) = fed {
            return Outcome::Ended(broken.0.to_owned());
        }
        let Some(socket) = &self.socket else { return outcome };
        if !reply.is_empty()
            && let Err(error) = send(socket, &reply)
        {
            return Outcome::Ended(error.to_string());
        }
        outcome
    }

    /// Ends the connection; what it got is still known.
    pub(super) fn end(&mut self) {
        self.socket = None;
        self.scanner = Scanner::Poll(PollScanner::default());
    }

    /// How many messages it lacks, given how many each stream has. One that never became a member lacks nothing: it
    /// counts as failed.
    pub(super) fn lost(&self, plan: &Plan, accepted: &[u64]) -> u64 {
        if self.state != State::Open {
            return 0;
        }
        let streams = plan.streams_of(self.room).zip(&self.tracks);
        streams.map(|(stream, track)| track.lost(accepted.get(stream).copied().unwrap_or(0))).sum()
    }

    /// How many messages it lacks among those that came, for one that leaves early.
    pub(super) fn lost_between(&self) -> u64 {
        self.tracks.iter().map(Track::lost_between).sum()
    }
}

impl Ears {
    /// Takes the messages out of what came.
    fn receive(&mut self, plan: &Plan, room: usize, tracks: &mut [Track], data: &[u8], now: u64) {
        for stamp in self.finder.stamps(data) {
            let stream = stamp.stream as usize;
            let track = tracks.get_mut(stream / plan.rooms);
            let Some(track) = track.filter(|_| stamp.run == plan.run && stream % plan.rooms == room) else {
                self.counts.foreign += 1;
                continue;
            };
            self.counts.note(track.receive(stamp.number));
            self.latency.record(now.saturating_sub(stamp.due_ns));
            self.flights.arrived(stream, stamp.number);
        }
    }
}

/// Writes a few hundred bytes to a socket that has nothing else to send.
fn send(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    if socket::write(socket, bytes)? < bytes.len() {
        return Err(io::Error::other("the server does not read"));
    }
    Ok(())
}
