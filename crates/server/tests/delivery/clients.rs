//! Clients that come back by themselves, to any node, with what they remember, and note what they hear.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use roomcast_bench::checker::{Heard, Id, Message, Record};
use roomcast_bench::http::{connect, read_response};
use roomcast_bench::{SseClient, WsClient};
use serde_json::Value;

use crate::chaos::Random;
use crate::scene::{Seat, Shared};

/// How a client listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sse,
    Json,
    Poll,
    /// Without ids: what comes while it is away is lost, and nothing else.
    Raw,
}

/// What a client knows.
pub(crate) struct Notes {
    pub(crate) record: Record,
    /// What it has of each room; none before it has begun.
    pub(crate) has: BTreeMap<String, Option<Id>>,
    /// It has begun where nothing is promised of the time before.
    anew: bool,
}

impl Notes {
    pub(crate) fn new(name: String, rooms: &[String]) -> Self {
        let has = rooms.iter().map(|room| (room.clone(), None)).collect();
        Self { record: Record::new(name), has, anew: false }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.anew || self.has.values().all(Option::is_some)
    }

    pub(crate) fn is_up_to_date(&self, last: impl Fn(&str) -> Option<Id>) -> bool {
        self.has.iter().all(|(room, has)| match has {
            None if self.anew => true,
            has => last(room).is_none_or(|last| *has == Some(last)),
        })
    }

    fn begin_anew(&mut self, room: &str) {
        self.anew = true;
        self.record.hear(room, Heard::Anew);
        self.has.insert(room.to_owned(), None);
    }

    fn message(&mut self, room: &str, id: Id, message: Message) {
        self.record.hear(room, Heard::Message { id, message });
        self.has.insert(room.to_owned(), Some(id));
    }

    /// The verdict on a room in which the client now stands at `at`, if it was told.
    fn verdict(&mut self, room: &str, resumed: bool, missed: bool, at: Option<Id>) {
        let has_begun = self.has[room].is_some();
        match (has_begun, resumed, missed) {
            (false, false, false) => self.record.hear(room, Heard::Begins { at }),
            (true, true, false) => return self.record.hear(room, Heard::Resumed),
            (true, false, true) => self.record.hear(room, Heard::Missed { at }),
            odd => panic!("{}: an odd verdict on {room}: {odd:?}", self.record.client),
        }
        self.has.insert(room.to_owned(), Some(at.unwrap_or(Id::START)));
    }
}

struct Client<'a> {
    shared: &'a Shared,
    seat: &'a Seat,
    rooms: &'a [String],
    cursor: String,
}

/// Comes back until the scene is over.
pub(crate) fn live(kind: Kind, shared: &Shared, seat: &Seat, rooms: &[String], mut random: Random) {
    let mut client = Client { shared, seat, rooms, cursor: String::new() };
    while !shared.over.load(Ordering::Relaxed) {
        let port = seat.ports[random.below(seat.ports.len())];
        let end = match kind {
            Kind::Sse => client.sse(port),
            Kind::Json => client.json(port),
            Kind::Poll => client.poll(port),
            Kind::Raw => client.raw(port),
        };
        if let Err(error) = end
            && error.kind() == io::ErrorKind::InvalidData
        {
            panic!("{kind:?}: {error}");
        }
        std::thread::sleep(Duration::from_millis(20 + random.below(60) as u64));
    }
}

impl Client<'_> {
    fn target(&self, path: &str) -> String {
        let rooms: Vec<_> = self.rooms.iter().map(|room| format!("room={room}")).collect();
        format!("{path}?{}", rooms.join("&"))
    }

    fn note(&self, write: impl FnOnce(&mut Notes)) {
        write(&mut self.seat.notes.lock().unwrap());
    }

    /// A message in the form of JSON mode.
    fn note_message(&self, value: &Value) -> io::Result<()> {
        let room = value["room"].as_str().ok_or_else(|| odd(value))?;
        let id = value["id"].as_str().and_then(Id::parse).ok_or_else(|| odd(value))?;
        let message = Message {
            publisher: value["data"]["p"].as_u64().ok_or_else(|| odd(value))? as u32,
            number: value["data"]["n"].as_u64().ok_or_else(|| odd(value))? as u32,
        };
        self.note(|notes| notes.message(room, id, message));
        Ok(())
    }

    /// One room as it is, several as JSON.
    fn sse(&mut self, port: u16) -> io::Result<()> {
        let is_single = self.rooms.len() == 1;
        let target = self.target("/sse") + if is_single { "" } else { "&format=json" };
        let remembered = [("Last-Event-ID", &*self.cursor)];
        let headers = if self.cursor.is_empty() { &[] } else { &remembered[..] };
        let Ok(mut stream) = SseClient::connect(port, &target, headers)? else { return Ok(()) };
        self.seat.is_on(stream.stream());
        loop {
            let event = stream.event()?;
            match &*event.event {
                "connected" => self.connected(&event.data, &event.id)?,
                "message" if is_single => {
                    let id = Id::parse(&event.id).ok_or_else(|| odd(&event))?;
                    let message = Message::parse(&event.data).ok_or_else(|| odd(&event))?;
                    self.note(|notes| notes.message(&self.rooms[0], id, message));
                }
                "message" => self.note_message(&parse(&event.data)?)?,
                "reset" => self.reset(&parse(&event.data)?)?,
                "goodbye" => {}
                _ => return Err(odd(&event)),
            }
            // A node that drains may say goodbye before it has said anything with an id.
            if !event.id.is_empty() {
                self.cursor = event.id;
            }
        }
    }

    fn connected(&self, data: &str, id: &str) -> io::Result<()> {
        let value = parse(data)?;
        for room in self.rooms {
            let verdict = &value["rooms"][room];
            let (resumed, missed) = (verdict["resumed"] == true, verdict["missed"] == true);
            // Where several rooms share an id, it is opaque; the first one is of empty rooms.
            let at = Id::parse(id).or((!resumed && !missed).then_some(Id::START));
            self.note(|notes| notes.verdict(room, resumed, missed, at));
        }
        Ok(())
    }

    fn reset(&self, value: &Value) -> io::Result<()> {
        let room = value["room"].as_str().ok_or_else(|| odd(value))?;
        self.note(|notes| notes.record.hear(room, Heard::Reset));
        Ok(())
    }

    fn json(&self, port: u16) -> io::Result<()> {
        let mut socket = WsClient::json(port, "/ws")?;
        self.seat.is_on(socket.stream());
        for room in self.rooms {
            let has = self.seat.notes.lock().unwrap().has[room];
            let after = has.map(|id| format!(",\"after\":\"{id}\"")).unwrap_or_default();
            socket.send_text(&format!("{{\"type\":\"subscribe\",\"room\":\"{room}\"{after}}}"))?;
        }
        loop {
            let frame = socket.message()?;
            if frame.close_code().is_some() {
                return Ok(());
            }
            let value = parse(&frame.text())?;
            match value["type"].as_str() {
                Some("message") => self.note_message(&value)?,
                Some("subscribed") => self.subscribed(&value)?,
                Some("reset") => self.reset(&value)?,
                Some("goodbye") => {}
                Some("error") if value["code"] == "unavailable" => return Ok(()),
                _ => return Err(odd(&value)),
            }
        }
    }

    fn subscribed(&self, value: &Value) -> io::Result<()> {
        let room = value["room"].as_str().ok_or_else(|| odd(value))?;
        let at = value["id"].as_str().and_then(Id::parse);
        let (resumed, missed) = (value["resumed"] == true, value["missed"] == true);
        self.note(|notes| notes.verdict(room, resumed, missed, at));
        Ok(())
    }

    fn raw(&self, port: u16) -> io::Result<()> {
        let room = &self.rooms[0];
        let mut socket = WsClient::raw(port, &self.target("/ws"))?;
        self.seat.is_on(socket.stream());
        self.note(|notes| notes.begin_anew(room));
        loop {
            let frame = socket.message()?;
            if frame.close_code().is_some() {
                return Ok(());
            }
            let message = Message::parse(&frame.text()).ok_or_else(|| odd(&frame))?;
            let id = self.shared.id_of(room, message)?;
            self.note(|notes| notes.message(room, id, message));
        }
    }

    fn poll(&mut self, port: u16) -> io::Result<()> {
        let mut target = self.target("/poll") + "&wait=5";
        if self.cursor.is_empty() {
            // Only to learn where it begins.
            target = self.target("/poll") + "&wait=0";
        } else {
            target += &format!("&after={}", self.cursor);
        }
        let mut stream = BufReader::new(connect(port)?);
        self.seat.is_on(stream.get_ref());
        loop {
            let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
            stream.get_mut().write_all(request.as_bytes())?;
            let response = read_response(&mut stream)?;
            if response.status != 200 {
                return Ok(());
            }
            self.polled(&parse(&response.text())?)?;
            target = self.target("/poll") + &format!("&wait=5&after={}", self.cursor);
        }
    }

    fn polled(&mut self, value: &Value) -> io::Result<()> {
        let is_first = self.cursor.is_empty();
        let reset = value["reset"].as_array().ok_or_else(|| odd(value))?;
        for room in self.rooms {
            let missed = reset.iter().any(|name| *name == **room);
            let at = is_first.then_some(Id::START);
            self.note(|notes| notes.verdict(room, !is_first && !missed, missed, at));
        }
        for message in value["messages"].as_array().ok_or_else(|| odd(value))? {
            self.note_message(message)?;
        }
        self.cursor = value["cursor"].as_str().ok_or_else(|| odd(value))?.to_owned();
        Ok(())
    }
}

fn parse(text: &str) -> io::Result<Value> {
    serde_json::from_str(text).map_err(|_| odd(&text))
}

fn odd(what: &dyn std::fmt::Debug) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what:?}"))
}
