//! Outboxes written in turn, to sinks that take what they like.

use std::future::Future as _;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use roomcast_protocol::{Close, WireForm};

use super::*;
use crate::outbox::Entry;

/// A peer that takes up to so many bytes in each of its writes, and none at 0.
struct Peer {
    takes: RefCell<Vec<usize>>,
    got: RefCell<Vec<u8>>,
    descriptor: Option<std::fs::File>,
}

impl Peer {
    fn take(&self, slices: &[&[u8]]) -> io::Result<usize> {
        let takes = self.takes.borrow_mut().pop().unwrap_or(usize::MAX);
        if takes == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let bytes = slices.concat();
        let len = takes.min(bytes.len());
        self.got.borrow_mut().extend_from_slice(&bytes[..len]);
        Ok(len)
    }
}

impl Sink for Peer {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.take(&slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(|file| file.as_fd())
    }
}

/// Writes to peers by their descriptors, and counts how often it is asked.
struct Kernel {
    peers: Vec<Rc<Peer>>,
    calls: Rc<Cell<usize>>,
}

impl Batch for Kernel {
    fn write(&mut self, writes: &[(BorrowedFd<'_>, &[u8])], written: &mut Vec<io::Result<usize>>) {
        self.calls.set(self.calls.get() + 1);
        use std::os::fd::AsRawFd as _;
        for (descriptor, bytes) in writes {
            let is_meant = |peer: &&Rc<Peer>| {
                peer.descriptor().is_some_and(|own| own.as_raw_fd() == descriptor.as_raw_fd())
            };
            written.push(self.peers.iter().find(is_meant).unwrap().take(&[bytes]));
        }
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Client {
    outbox: Rc<Outbox>,
    peer: Rc<Peer>,
    woken: Arc<Woken>,
}

impl Client {
    fn new(turns: &Rc<Turns>, takes: Vec<usize>, descriptor: bool) -> Self {
        let outbox = Rc::new(Outbox::new(1 << 20, WireForm::WebSocketRaw, Arc::default()));
        let descriptor = descriptor.then(|| std::fs::File::open("/dev/null").unwrap());
        let peer = Rc::new(Peer { takes: takes.into(), got: RefCell::default(), descriptor });
        let sink: Rc<dyn Sink> = peer.clone();
        outbox.write_directly(turns, Rc::downgrade(&sink));
        Self { outbox, peer, woken: Arc::default() }
    }

    /// What the connection's own writer does when it is woken, as far as the peer takes it.
    fn run_writer(&self) {
        let waker = Waker::from(Arc::clone(&self.woken));
        let context = Context::from_waker(&waker);
        while let Poll::Ready(None) = self.outbox.poll_next(&context) {
            let _ = self.outbox.write_with(|slices| self.peer.try_write(slices));
        }
    }

    fn send(&self, text: &str) {
        self.outbox.push(Entry::Message(Rc::new(Bytes::copy_from_slice(text.as_bytes())))).unwrap();
    }

    fn wakings(&self) -> usize {
        self.woken.0.load(Ordering::Relaxed)
    }

    fn got(&self) -> String {
        String::from_utf8(self.peer.got.borrow().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_writer_that_has_nothing_to_do_is_left_alone() {
    let turns = Rc::<Turns>::default();
    let clients: Vec<_> = (0..3 * WRITES_MAX).map(|_| Client::new(&turns, Vec::new(), false)).collect();
    clients.iter().for_each(Client::run_writer);
    turns.hold();
    for client in &clients {
        client.send("a");
        client.send("b");
    }
    assert_eq!(turns.waiting.borrow().len(), clients.len(), "each of them once");
    turns.write().await;
    assert!(clients.iter().all(|client| client.got() == "ab" && client.wakings() == 0));
    // Nothing waits, and the next message finds everything as it was.
    turns.write().await;
    clients[0].send("c");
    turns.write().await;
    assert_eq!((clients[0].got().as_str(), clients[0].wakings()), ("abc", 0));
}

#[tokio::test]
async fn what_does_not_go_at_once_is_the_writers() {
    let turns = Rc::<Turns>::default();
    let client = Client::new(&turns, vec![0, 2], false);
    client.run_writer();
    client.send("hello");
    turns.write().await;
    assert_eq!((client.got().as_str(), client.wakings()), ("he", 1));
    // It has not come to it yet: then it is no use to try again.
    client.send("!");
    turns.write().await;
    assert_eq!((client.got().as_str(), client.wakings()), ("he", 1));
    client.run_writer();
    assert_eq!(client.got(), "hello!");
}

#[tokio::test]
async fn the_end_is_for_the_writer() {
    let turns = Rc::<Turns>::default();
    let client = Client::new(&turns, Vec::new(), false);
    client.run_writer();
    client.send("last");
    client.outbox.close(Close::NORMAL);
    assert_eq!(client.wakings(), 1);
    turns.write().await;
    assert_eq!(client.got(), "", "the writer has been woken, and writes what comes before the end");
    client.run_writer();
    assert_eq!(client.got(), "last");
}

#[tokio::test]
async fn a_connection_that_has_ended_is_not_written_to() {
    let turns = Rc::<Turns>::default();
    let client = Client::new(&turns, Vec::new(), false);
    client.run_writer();
    client.send("a");
    let Client { outbox, peer, .. } = client;
    assert_eq!(Rc::strong_count(&peer), 1, "an outbox keeps no socket open");
    drop(peer);
    turns.write().await;
    assert!(!outbox.is_empty());
}

#[tokio::test]
async fn who_fills_it_without_holding_it_wakes_the_one_that_writes() {
    let turns = Rc::<Turns>::default();
    let client = Client::new(&turns, Vec::new(), false);
    client.run_writer();
    let woken = Arc::<Woken>::default();
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    let mut writing = std::pin::pin!(turns.keep_writing());
    assert!(writing.as_mut().poll(&mut context).is_pending());
    client.send("reply");
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(writing.as_mut().poll(&mut context).is_pending());
    assert_eq!(client.got(), "reply");
}

proptest! {
    /// However little each peer takes, whether they are written together or not: each gets everything, in order.
    #[test]
    fn everything_arrives_in_order(
        clients in proptest::collection::vec(
            (proptest::collection::vec(0..6_usize, 0..20), any::<bool>()), 1..2 * TOGETHER_MIN),
        steps in proptest::collection::vec((any::<usize>(), 0..8_u8), 1..200),
        together in any::<bool>(),
    ) {
        let turns = Rc::<Turns>::default();
        let clients: Vec<_> =
            clients.into_iter().map(|(takes, descriptor)| Client::new(&turns, takes, descriptor)).collect();
        if together {
            let peers = clients.iter().map(|client| Rc::clone(&client.peer)).collect();
            turns.write_together(Box::new(Kernel { peers, calls: Rc::default() }));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut expected = vec![String::new(); clients.len()];
        for (number, (client, action)) in steps.into_iter().enumerate() {
            let client = client % clients.len();
            match action {
                0..5 => {
                    let text = format!("{number},");
                    clients[client].send(&text);
                    expected[client] += &text;
                }
                5 | 6 => runtime.block_on(turns.write()),
                _ => clients[client].run_writer(),
            }
        }
        runtime.block_on(turns.write());
        for (client, expected) in clients.iter().zip(expected) {
            client.run_writer();
            prop_assert_eq!(client.got(), expected);
        }
    }
}

#[tokio::test]
async fn those_that_can_be_are_written_together() {
    let turns = Rc::<Turns>::default();
    let clients: Vec<_> = (0..TOGETHER_MIN).map(|n| Client::new(&turns, Vec::new(), n != 3)).collect();
    let calls = Rc::<Cell<usize>>::default();
    let peers = clients.iter().map(|client| Rc::clone(&client.peer)).collect();
    turns.write_together(Box::new(Kernel { peers, calls: Rc::clone(&calls) }));
    clients.iter().for_each(Client::run_writer);
    clients.iter().for_each(|client| client.send("x"));
    // Two things that wait go out by one write of their own.
    clients[5].send("y");
    turns.write().await;
    assert_eq!(calls.get(), 1);
    let expected = |n| if n == 5 { "xy" } else { "x" };
    assert!(clients.iter().enumerate().all(|(n, client)| client.got() == expected(n)));
    assert!(clients.iter().all(|client| client.wakings() == 0));
}
