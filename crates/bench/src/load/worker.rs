//! A process that holds clients and publishers: one loop over all their sockets.

mod publishing;
mod settling;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write as _};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::publishing::Publishing;
use self::settling::Settling;
use super::client::{Client, Ears, Outcome};
use super::latency::Latency;
use super::plan::Plan;
use super::publisher::{Flights, Publisher};
use super::socket::{self, Poller, Ready};
use super::stamp::{Finder, now_ns, ns};
use super::tally::Counts;
use super::words::{Lines, News, Order, Second};

/// How long a connection may take to become a member.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(30);
/// How often the worker looks at what has no event.
const TICK: Duration = Duration::from_millis(100);
/// How often it tells what happened.
const NEWS_EVERY: Duration = Duration::from_secs(1);
/// Read at once; what idle clients share.
const BUFFER_BYTES: usize = 64 * 1024;
/// Events between two looks at what is due: some 50 µs.
const EVENTS_PER_LOOK: usize = 32;

/// Tokens of the publishers; clients have their place.
const PUBLISHERS: u64 = 1 << 32;
/// Token of the conductor's orders.
const ORDERS: u64 = u64::MAX;

/// Does what comes in on standard input, until that ends.
pub fn run() -> io::Result<()> {
    let mut lines = Lines::default();
    let stdin = io::stdin();
    let mut buffer = vec![0; BUFFER_BYTES];
    let (plan, index) = loop {
        match lines.next()? {
            Some(Order::Plan { plan, worker }) => break (*plan, worker),
            Some(_) => return Err(io::Error::other("the first order must be the plan")),
            None => match socket::read(&stdin, &mut buffer)? {
                None | Some(0) => return Ok(()),
                Some(len) => lines.push(&buffer[..len])?,
            },
        }
    };
    rustix::io::ioctl_fionbio(&stdin, true)?;
    raise_descriptors();
    let mut worker = Worker::new(plan, index)?;
    worker.poller.add(&stdin, ORDERS, Ready::IN)?;
    let mut tokens = Vec::new();
    loop {
        worker.poller.wait(worker.timeout_ns(), &mut tokens)?;
        for (i, (token, ready)) in tokens.iter().enumerate() {
            if i % EVENTS_PER_LOOK == EVENTS_PER_LOOK - 1 {
                worker.publish_due();
            }
            if *token == ORDERS {
                match socket::read(&stdin, &mut buffer)? {
                    None => {}
                    Some(0) => return Ok(()),
                    Some(len) => lines.push(&buffer[..len])?,
                }
            } else {
                worker.ready(*token, *ready);
            }
        }
        while let Some(order) = lines.next()? {
            worker.obey(order)?;
        }
        worker.turn()?;
    }
}

/// Takes as many descriptors as there are to be had.
fn raise_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where that is refused, connections fail, and the report says why.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

fn tell(news: &News) -> io::Result<()> {
    let mut line = serde_json::to_vec(news)?;
    line.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&line)?;
    out.flush()
}

struct Worker {
    plan: Plan,
    index: usize,
    poller: Poller,
    buffer: Vec<u8>,
    clients: Vec<Client>,
    /// Numbers of clients that are to connect.
    queue: VecDeque<usize>,
    /// Connections that are not members yet.
    under_way: usize,
    open: usize,
    /// From the begin of a connection until it was a member.
    times: Latency,
    publishers: BTreeMap<usize, Publisher>,
    ears: Ears,
    failures: BTreeMap<String, u64>,
    phase: Phase,
    /// What is told each second, and what had come when it was told last.
    second: Second,
    delivered_before: u64,
    lag: Latency,
    next_tick_ns: u64,
    next_news_ns: u64,
}

#[derive(Debug)]
enum Phase {
    Resting,
    Connecting,
    Publishing(Publishing),
    Settling(Settling),
}

impl Worker {
    fn new(plan: Plan, index: usize) -> io::Result<Self> {
        let ears = Ears {
            finder: Finder::default(),
            counts: Counts::default(),
            latency: Latency::default(),
            flights: Flights::default(),
        };
        let now = now_ns();
        Ok(Self {
            plan,
            index,
            poller: Poller::new()?,
            buffer: vec![0; BUFFER_BYTES],
            clients: Vec::new(),
            queue: VecDeque::new(),
            under_way: 0,
            open: 0,
            times: Latency::default(),
            publishers: BTreeMap::new(),
            ears,
            failures: BTreeMap::new(),
            phase: Phase::Resting,
            second: Second::default(),
            delivered_before: 0,
            lag: Latency::default(),
            next_tick_ns: now,
            next_news_ns: now + ns(NEWS_EVERY),
        })
    }

    fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Plan { .. } => return Err(io::Error::other("a second plan")),
            Order::Connect => {
                self.queue = self.plan.clients_of(self.index).collect();
                self.clients.clear();
                self.connect_publishers()?;
                self.phase = Phase::Connecting;
            }
            Order::Publish { begin_ns, end_ns } => {
                self.phase = Phase::Publishing(Publishing::new(&self.plan, self.index, begin_ns, end_ns));
                self.count_members();
                self.follow_flights();
            }
            Order::Accepted(accepted) => self.phase = Phase::Settling(Settling::new(accepted)),
            Order::Close => {
                self.clients.clear();
                self.publishers.clear();
                (self.open, self.under_way) = (0, 0);
                self.phase = Phase::Resting;
                tell(&News::Closed)?;
            }
        }
        Ok(())
    }

    /// How long to wait for events.
    fn timeout_ns(&self) -> u64 {
        let now = now_ns();
        let mut next = self.next_tick_ns;
        if let Phase::Publishing(publishing) = &self.phase
            && let Some(due) = publishing.next_due_ns(&self.plan)
        {
            // What is due and cannot be sent yet is tried again with the next tick or event.
            next = if due > now { next.min(due) } else { next.min(now + 1_000_000) };
        }
        next.saturating_sub(now)
    }

    /// What is to do between events.
    fn turn(&mut self) -> io::Result<()> {
        self.publish_due();
        if matches!(self.phase, Phase::Connecting) {
            self.connect_more();
            self.check_connected()?;
        }
        let now = now_ns();
        if now < self.next_tick_ns {
            return Ok(());
        }
        self.next_tick_ns = now + ns(TICK);
        self.count_members();
        self.give_up_handshakes(now);
        self.churn(now);
        self.check_published(now)?;
        self.check_settled(now)?;
        if now >= self.next_news_ns {
            self.next_news_ns += ns(NEWS_EVERY);
            self.tell_second()?;
        }
        Ok(())
    }

    fn tell_second(&mut self) -> io::Result<()> {
        let mut second = std::mem::take(&mut self.second);
        second.open = self.open;
        let delivered = self.ears.counts.came();
        second.delivered = delivered - std::mem::replace(&mut self.delivered_before, delivered);
        second.latency = self.ears.latency.take();
        second.lag = self.lag.take();
        tell(&News::Second(second))
    }

    fn ready(&mut self, token: u64, ready: Ready) {
        if token >= PUBLISHERS {
            return self.publisher_ready((token - PUBLISHERS) as usize);
        }
        let place = token as usize;
        let Some(client) = self.clients.get_mut(place) else { return };
        if client.is_connecting() {
            let asked = client.ask(&self.plan);
            match (asked, client.socket()) {
                (Ok(()), Some(socket)) => {
                    if let Err(error) = self.poller.modify(socket, token, Ready::IN) {
                        self.ended(place, error.to_string());
                    }
                }
                (Err(error), _) => self.ended(place, error.kind().to_string()),
                (Ok(()), None) => {}
            }
            return;
        }
        if !ready.intersects(Ready::IN | Ready::HUP | Ready::ERR) {
            return;
        }
        match client.read(&self.plan, &mut self.buffer, &mut self.ears) {
            Outcome::Going => {}
            Outcome::Opened(took_ns) => {
                self.under_way -= 1;
                self.open += 1;
                self.times.record(took_ns);
            }
            Outcome::Ended(why) => self.ended(place, why),
        }
    }

    /// A connection is over that nobody here has ended.
    fn ended(&mut self, place: usize, why: String) {
        let client = &mut self.clients[place];
        if client.socket().is_none() {
            return;
        }
        if client.is_open() {
            self.open -= 1;
            self.ears.counts.disconnected += 1;
        } else {
            self.under_way -= 1;
            self.ears.counts.failed += 1;
        }
        client.end();
        *self.failures.entry(why).or_default() += 1;
    }

    /// Begins as many connections as may be under way.
    fn connect_more(&mut self) {
        while self.under_way < self.plan.handshakes_max {
            let Some(number) = self.queue.pop_front() else { return };
            let place = self.clients.len();
            match self.begin(number, place, true) {
                Ok(client) => self.clients.push(client),
                Err(error) => {
                    self.ears.counts.failed += 1;
                    *self.failures.entry(error.to_string()).or_default() += 1;
                }
            }
        }
    }

    fn begin(&mut self, number: usize, place: usize, from_start: bool) -> io::Result<Client> {
        let client = Client::begin(&self.plan, number, from_start)?;
        if let Some(socket) = client.socket() {
            self.poller.add(socket, place as u64, Ready::OUT)?;
        }
        self.under_way += 1;
        Ok(client)
    }

    fn check_connected(&mut self) -> io::Result<()> {
        if !self.queue.is_empty() || self.under_way > 0 {
            return Ok(());
        }
        for publisher in self.publishers.values() {
            if let Some(failure) = publisher.failure() {
                return tell(&News::Failed(format!(
                    "a publisher ({}): {failure}",
                    self.plan.publish.as_str()
                )));
            }
            if !publisher.is_ready() {
                return Ok(());
            }
        }
        self.phase = Phase::Resting;
        let (times, failures) = (self.times.take(), std::mem::take(&mut self.failures));
        tell(&News::Connected { open: self.open, times, failures })
    }

    fn give_up_handshakes(&mut self, now: u64) {
        if self.under_way == 0 {
            return;
        }
        let before = now.saturating_sub(ns(HANDSHAKE_PATIENCE));
        for place in 0..self.clients.len() {
            if self.clients[place].connects_since(before) {
                self.ended(place, format!("no answer within {HANDSHAKE_PATIENCE:?}"));
            }
        }
    }
}
