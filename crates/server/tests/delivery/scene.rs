//! Publishers and clients around the nodes, and what they have noted.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use roomcast_bench::checker::{Id, Ledger, Message, Record, Report, check};
use xtask::wait_until;

use crate::chaos::{NODES, Random};
use crate::clients::{self, Kind, Notes};
use crate::publishers;

/// How long clients may take to get the last message after everything has been repaired. Only bounds a failure.
const LIMIT: Duration = Duration::from_secs(90);
/// What comes twice comes soon.
const AFTERMATH: Duration = Duration::from_millis(700);

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) ports: [u16; NODES],
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) rooms: Vec<String>,
    /// A publish that fails may nevertheless stay, beside its repetition.
    pub(crate) may_lose: AtomicBool,
    /// No more than what is there is published.
    pub(crate) enough: AtomicBool,
    pub(crate) published: AtomicU64,
    /// Clients shall end.
    pub(crate) over: AtomicBool,
}

impl Shared {
    /// The id of a message that may come before its publisher has the answer.
    pub(crate) fn id_of(&self, room: &str, message: Message) -> io::Result<Id> {
        while !self.over.load(Ordering::Relaxed) {
            if let Some(id) = self.ledger.lock().unwrap().id_of(room, message) {
                return Ok(id);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(io::ErrorKind::Interrupted.into())
    }
}

/// One client, seen from outside.
pub(crate) struct Seat {
    /// Where it may go.
    pub(crate) ports: Vec<u16>,
    pub(crate) notes: Mutex<Notes>,
    /// Its connection, to be cut.
    pub(crate) socket: Mutex<Option<TcpStream>>,
}

pub(crate) struct Scene {
    shared: Arc<Shared>,
    clients: Mutex<Vec<(Arc<Seat>, JoinHandle<()>)>>,
}

impl Scene {
    pub(crate) fn new(ports: [u16; NODES], rooms: &[&str]) -> Self {
        let shared = Shared {
            ports,
            ledger: Mutex::default(),
            rooms: rooms.iter().map(ToString::to_string).collect(),
            may_lose: AtomicBool::new(false),
            enough: AtomicBool::new(false),
            published: AtomicU64::new(0),
            over: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), clients: Mutex::default() }
    }

    pub(crate) fn data_may_be_lost(&self) {
        self.shared.may_lose.store(true, Ordering::Relaxed);
    }

    /// A client that goes to any node.
    pub(crate) fn add_client(&self, kind: Kind, rooms: &[&str]) {
        self.add_client_of(&self.shared.ports, kind, rooms);
    }

    /// A client that goes to one of these ports; gives its name in reports.
    pub(crate) fn add_client_of(&self, ports: &[u16], kind: Kind, rooms: &[&str]) -> String {
        let mut all = self.clients.lock().unwrap();
        let name = format!("{kind:?} client {} of {}", all.len(), rooms.join(","));
        let rooms: Vec<_> = rooms.iter().map(ToString::to_string).collect();
        let notes = Mutex::new(Notes::new(name.clone(), &rooms));
        let seat = Arc::new(Seat { ports: ports.to_vec(), notes, socket: Mutex::default() });
        let (shared, random) = (Arc::clone(&self.shared), Random(all.len() as u64));
        let own = Arc::clone(&seat);
        let thread = std::thread::spawn(move || clients::live(kind, &shared, &own, &rooms, random));
        all.push((seat, thread));
        name
    }

    pub(crate) fn wait_until_all_began(&self) {
        wait_until("all clients are connected", || self.all(Notes::has_begun));
    }

    fn all(&self, is: impl Fn(&Notes) -> bool) -> bool {
        self.clients.lock().unwrap().iter().all(|(seat, _)| is(&seat.notes.lock().unwrap()))
    }

    /// Cuts the connections of some clients.
    pub(crate) fn cut(&self, mut chosen: impl FnMut() -> bool) {
        for (seat, _) in self.clients.lock().unwrap().iter() {
            if chosen() {
                seat.cut();
            }
        }
    }

    /// `count` publishers, one message each `pace`, send until `what` is done, and at least
    /// `at_least` messages in all.
    pub(crate) fn publish_while(&self, count: u32, pace: Duration, at_least: u64, what: impl FnOnce()) {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let shared = Arc::clone(&self.shared);
                std::thread::spawn(move || publishers::live(number, &shared, pace))
            })
            .collect();
        what();
        wait_until("enough is published", || self.shared.published.load(Ordering::Relaxed) >= at_least);
        self.shared.enough.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    /// Waits until every client has got something new of every room.
    pub(crate) fn wait_until_everyone_hears(&self) {
        for (seat, _) in self.clients.lock().unwrap().iter() {
            let before = seat.notes.lock().unwrap().has.clone();
            wait_until("everyone hears something", || {
                seat.notes.lock().unwrap().has.iter().all(|(room, has)| *has > before[room])
            });
        }
    }

    /// Waits until everyone has the last messages, and checks all that was heard.
    pub(crate) fn report(self) -> Report {
        let ledger = self.shared.ledger.lock().unwrap().clone();
        let begin = Instant::now();
        let up_to_date = |notes: &Notes| notes.is_up_to_date(|room| ledger.last(room));
        while !self.all(up_to_date) && begin.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(50));
        }
        println!("everyone up to date after {:?}", begin.elapsed());
        std::thread::sleep(AFTERMATH);
        self.shared.over.store(true, Ordering::Relaxed);
        let mut records: Vec<Record> = Vec::new();
        for (seat, thread) in self.clients.into_inner().unwrap() {
            while !thread.is_finished() {
                seat.cut();
                std::thread::sleep(Duration::from_millis(5));
            }
            thread.join().unwrap();
            records.push(std::mem::take(&mut seat.notes.lock().unwrap().record));
        }
        println!("{} messages published", ledger.len());
        check(&ledger, &records)
    }
}

impl Seat {
    fn cut(&self) {
        if let Some(socket) = self.socket.lock().unwrap().take() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn is_on(&self, socket: &TcpStream) {
        *self.socket.lock().unwrap() = socket.try_clone().ok();
    }
}
