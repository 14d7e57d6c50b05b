//! Good clients: WebSockets and SSE streams in one room, and somebody who publishes to it all the time. They
//! measure how late each message is, and see whether one is missing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use roomcast_bench::http::connect;
use roomcast_bench::{SseClient, WsClient};
use xtask::wait_until;

/// Good clients of each kind.
const EACH: usize = 20;
/// Connections of all of them, the publisher's included.
pub(crate) const CONNECTIONS: usize = 2 * EACH + 1;
/// From one message to the next: well below the rate at which a client is refused, and enough of them that a
/// window has a 99th percentile.
const PACE: Duration = Duration::from_millis(15);

/// What all of them write down.
#[derive(Debug)]
struct Ledger {
    start: Instant,
    /// When a message was sent, in µs since the start, and how long it took to one client, in µs.
    deliveries: Mutex<Vec<(u64, u64)>>,
    /// The same of what two threads of this process say to each other over a socket: how late the machine is by itself.
    echoes: Mutex<Vec<(u64, u64)>>,
    /// Messages sent.
    sent: AtomicU64,
    /// Messages that each client has got.
    got: Vec<AtomicU64>,
    complaints: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Ledger {
    fn now_us(&self) -> u64 {
        self.start.elapsed().as_micros() as u64
    }

    fn complain(&self, text: String) {
        self.complaints.lock().unwrap().push(text);
    }

    /// Client `index` has got this message: its number, and when it was sent.
    fn receive(&self, index: usize, text: &str) {
        let arrived = self.now_us();
        let got = self.got[index].fetch_add(1, Relaxed) + 1;
        let (number, sent_us) = text.split_once(' ').unwrap();
        if number.parse() != Ok(got) {
            self.complain(format!("client {index} got message {number} as its {got}th"));
        }
        let sent_us = sent_us.parse().unwrap();
        self.deliveries.lock().unwrap().push((sent_us, arrived.saturating_sub(sent_us)));
    }
}

/// The good clients of one node.
#[derive(Debug)]
pub(crate) struct Crowd {
    ledger: Arc<Ledger>,
    threads: Vec<JoinHandle<()>>,
    sockets: Vec<TcpStream>,
}

impl Crowd {
    /// All of them connect to `port`; the publishing begins.
    pub(crate) fn join(port: u16) -> Self {
        let ledger = Arc::new(Ledger {
            start: Instant::now(),
            deliveries: Mutex::default(),
            echoes: Mutex::default(),
            sent: AtomicU64::new(0),
            got: (0..2 * EACH).map(|_| AtomicU64::new(0)).collect(),
            complaints: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let mut crowd = Self { ledger, threads: Vec::new(), sockets: Vec::new() };
        for index in 0..EACH {
            let mut client = WsClient::raw(port, "/ws?room=good").unwrap();
            crowd.sockets.push(client.stream().try_clone().unwrap());
            crowd.read(index, move || Ok(client.message()?.text()));
        }
        for index in EACH..2 * EACH {
            let mut client = SseClient::open(port, "/sse?room=good").unwrap();
            crowd.sockets.push(client.stream().try_clone().unwrap());
            crowd.read(index, move || Ok(client.event()?.data));
        }
        crowd.echo();
        crowd.publish(WsClient::raw(port, "/ws?room=good").unwrap());
        crowd
    }

    fn read(&mut self, index: usize, mut next: impl FnMut() -> std::io::Result<String> + Send + 'static) {
        let ledger = Arc::clone(&self.ledger);
        self.threads.push(spawn(move || {
            loop {
                match next() {
                    // What is no message of the publisher, such as a close frame, says that something went wrong.
                    Ok(text) if text.contains(' ') && text.as_bytes()[0].is_ascii_digit() => {
                        ledger.receive(index, &text);
                    }
                    _ if ledger.stop.load(Relaxed) => return,
                    other => return ledger.complain(format!("client {index} got {other:?}")),
                }
            }
        }));
    }

    fn echo(&mut self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut near = connect(listener.local_addr().unwrap().port()).unwrap();
        let mut far = listener.accept().unwrap().0;
        self.threads.push(spawn(move || drop(std::io::copy(&mut far.try_clone().unwrap(), &mut far))));
        let ledger = Arc::clone(&self.ledger);
        self.threads.push(spawn(move || {
            while !ledger.stop.load(Relaxed) {
                let sent = ledger.now_us();
                near.write_all(b"x").unwrap();
                near.read_exact(&mut [0]).unwrap();
                ledger.echoes.lock().unwrap().push((sent, ledger.now_us() - sent));
                sleep(PACE / 4);
            }
        }));
    }

    fn publish(&mut self, mut client: WsClient) {
        let ledger = Arc::clone(&self.ledger);
        self.threads.push(spawn(move || {
            while !ledger.stop.load(Relaxed) {
                let number = ledger.sent.fetch_add(1, Relaxed) + 1;
                let text = format!("{number} {}", ledger.now_us());
                if let Err(error) = client.send_text(&text) {
                    return ledger.complain(format!("the publisher cannot send: {error}"));
                }
                sleep(PACE);
            }
        }));
    }

    /// How late messages were, in µs, that were sent while `what` went on, once for each message and client; and how late
    /// the machine was.
    pub(crate) fn latencies_during(&self, what: impl FnOnce()) -> (Vec<u64>, Vec<u64>) {
        let from = self.ledger.now_us();
        what();
        let until = self.ledger.now_us();
        self.wait_for_all_sent_so_far();
        let [deliveries, echoes] = [&self.ledger.deliveries, &self.ledger.echoes].map(|all| {
            let all = all.lock().unwrap();
            all.iter().filter(|(sent, _)| (from..until).contains(sent)).map(|(_, late)| *late).collect()
        });
        (deliveries, echoes)
    }

    fn wait_for_all_sent_so_far(&self) {
        let sent = self.ledger.sent.load(Relaxed);
        wait_until("all good clients have all messages", || {
            self.check();
            self.ledger.got.iter().all(|got| got.load(Relaxed) >= sent)
        });
    }

    #[track_caller]
    fn check(&self) {
        let complaints = self.ledger.complaints.lock().unwrap();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    /// Everybody leaves; nothing was lost.
    pub(crate) fn leave(mut self) {
        self.wait_for_all_sent_so_far();
        self.ledger.stop.store(true, Relaxed);
        let publisher = self.threads.pop().unwrap();
        publisher.join().unwrap();
        self.wait_for_all_sent_so_far();
        self.sockets.iter().for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        self.check();
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // Where a test fails its threads must not go on complaining.
        self.ledger.stop.store(true, Relaxed);
    }
}
