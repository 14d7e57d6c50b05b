//! The phase in which messages are published, and clients come and go.

use std::io;
use std::time::Duration;

use super::super::plan::{Mode, Plan};
use super::super::publisher::Publisher;
use super::super::schedule::Schedule;
use super::super::socket::Ready;
use super::super::stamp::{Stamp, now_ns, ns};
use super::super::words::News;
use super::{PUBLISHERS, Phase, Worker, tell};

/// How long answers to the last publications are waited for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// How long something may be under way in a closed loop before it is taken for lost.
const FLIGHT_PATIENCE: Duration = Duration::from_secs(5);
/// Messages that are published before sockets are read again.
const BATCH_MAX: usize = 64;

/// What is to be published.
#[derive(Debug)]
pub(super) struct Publishing {
    begin_ns: u64,
    end_ns: u64,
    schedule: Option<Schedule>,
    /// The streams that this worker publishes.
    streams: Vec<usize>,
    /// How many messages it has published by the schedule.
    sent: u64,
    /// In a closed loop: the next number of each of `streams`.
    next: Vec<u64>,
    /// In a closed loop: by room, members that this worker holds; counted with every tick.
    members: Vec<usize>,
    /// Clients that were replaced.
    churned: u64,
    /// When something last arrived everywhere.
    landed_ns: u64,
}

impl Publishing {
    pub(super) fn new(plan: &Plan, worker: usize, begin_ns: u64, end_ns: u64) -> Self {
        let streams: Vec<_> = (0..plan.streams()).filter(|s| plan.publishing_worker(*s) == worker).collect();
        Self {
            begin_ns,
            end_ns,
            schedule: Schedule::new(plan.mode, plan.duration),
            next: vec![0; streams.len()],
            streams,
            sent: 0,
            members: Vec::new(),
            churned: 0,
            landed_ns: begin_ns,
        }
    }

    /// Stream, number and time of the next message that has a time.
    fn next(&self, plan: &Plan) -> Option<(usize, u64, u64)> {
        let schedule = self.schedule.as_ref()?;
        let (round, place) =
            (self.sent.checked_div(self.streams.len() as u64)?, self.sent % self.streams.len() as u64);
        let stream = self.streams[place as usize];
        // All streams take turns, so every worker knows which messages of the schedule are its own.
        let index = round * plan.streams() as u64 + stream as u64;
        Some((stream, round, self.begin_ns + schedule.due_ns(index)?))
    }

    /// When there is something to do next.
    pub(super) fn next_due_ns(&self, plan: &Plan) -> Option<u64> {
        self.next(plan).map(|(_, _, due)| due)
    }
}

impl Worker {
    /// Begins to connect those who publish this worker's streams.
    pub(super) fn connect_publishers(&mut self) -> io::Result<()> {
        self.publishers.clear();
        let streams = (0..self.plan.streams()).filter(|s| self.plan.publishing_worker(*s) == self.index);
        let mut numbers: Vec<_> = streams.map(|stream| self.plan.stream(stream).publisher).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            let publisher = Publisher::begin(&self.plan, number)?;
            if let Some(socket) = publisher.socket() {
                self.poller.add(socket, PUBLISHERS + number as u64, Ready::OUT)?;
            }
            self.publishers.insert(number, publisher);
        }
        Ok(())
    }

    pub(super) fn publisher_ready(&mut self, number: usize) {
        let Some(publisher) = self.publishers.get_mut(&number) else { return };
        if publisher.is_connecting() {
            publisher.connected(&self.plan);
        } else {
            publisher.read(&mut self.buffer);
            publisher.flush();
        }
        self.watch(number);
    }

    /// Waits for room to write only while there is something to write.
    fn watch(&mut self, number: usize) {
        let Some(publisher) = self.publishers.get(&number) else { return };
        let Some(socket) = publisher.socket() else { return };
        let ready = if publisher.has_waiting() { Ready::IN | Ready::OUT } else { Ready::IN };
        if let Err(error) = self.poller.modify(socket, PUBLISHERS + number as u64, ready) {
            *self.failures.entry(format!("a publisher cannot be watched: {error}")).or_default() += 1;
        }
    }

    /// In a closed loop, messages are followed until they are everywhere.
    pub(super) fn follow_flights(&mut self) {
        let Phase::Publishing(publishing) = &self.phase else { return };
        if matches!(self.plan.mode, Mode::Closed { .. }) {
            publishing.streams.iter().for_each(|stream| self.ears.flights.follow(*stream));
        }
    }

    /// Publishes what is due.
    pub(super) fn publish_due(&mut self) {
        let Phase::Publishing(publishing) = &mut self.phase else { return };
        let now = now_ns();
        if publishing.schedule.is_some() {
            let mut due = Vec::new();
            while due.len() < BATCH_MAX
                && let Some(next) = publishing.next(&self.plan)
                && next.2 <= now
                && self.publishers.get(&self.plan.stream(next.0).publisher).is_some_and(Publisher::has_room)
            {
                publishing.sent += 1;
                due.push(next);
            }
            self.publish(&due, now);
        } else if let Mode::Closed { window } = self.plan.mode {
            self.publish_closed(window, now);
        }
    }

    fn publish_closed(&mut self, window: usize, now: u64) {
        let Phase::Publishing(publishing) = &mut self.phase else { return };
        if now < publishing.begin_ns || now >= publishing.end_ns {
            return;
        }
        let mut landed = std::mem::take(&mut self.ears.flights.landed);
        landed.sort_unstable();
        landed.dedup();
        let mut due = Vec::new();
        for stream in landed {
            let Ok(place) = publishing.streams.binary_search(&stream) else { continue };
            publishing.landed_ns = now;
            let members = publishing.members.get(self.plan.stream(stream).room).copied().unwrap_or(0);
            while self.ears.flights.under_way(stream) < window && members > 0 {
                self.ears.flights.depart(stream, members);
                due.push((stream, publishing.next[place], now));
                publishing.next[place] += 1;
            }
        }
        self.publish(&due, now);
    }

    pub(super) fn count_members(&mut self) {
        let Phase::Publishing(publishing) = &mut self.phase else { return };
        if !matches!(self.plan.mode, Mode::Closed { .. }) {
            return;
        }
        publishing.members = vec![0; self.plan.rooms];
        for client in self.clients.iter().filter(|client| client.is_open()) {
            publishing.members[client.room()] += 1;
        }
    }

    /// Sends messages: stream, number, and when each was due.
    fn publish(&mut self, due: &[(usize, u64, u64)], now: u64) {
        let mut payload = Vec::with_capacity(self.plan.payload_bytes);
        let mut touched = Vec::new();
        for (stream, number, due_ns) in due {
            let stamp =
                Stamp { run: self.plan.run, stream: *stream as u32, number: *number, due_ns: *due_ns };
            payload.clear();
            stamp.write(self.plan.payload_bytes, &mut payload);
            let publisher = self.plan.stream(*stream).publisher;
            if let Some(connection) = self.publishers.get_mut(&publisher) {
                connection.publish(&self.plan, *stream, &payload);
                self.second.published += 1;
                self.lag.record(now - due_ns);
                touched.push(publisher);
            }
        }
        touched.dedup();
        for number in touched {
            let Some(publisher) = self.publishers.get_mut(&number) else { continue };
            publisher.flush();
            if publisher.has_waiting() {
                self.watch(number);
            }
        }
    }

    /// Lets some clients leave, and new ones come.
    pub(super) fn churn(&mut self, now: u64) {
        let Phase::Publishing(publishing) = &mut self.phase else { return };
        let rate = self.plan.churn_per_second / self.plan.workers as f64;
        if rate <= 0.0 || now < publishing.begin_ns || now >= publishing.end_ns {
            return;
        }
        let due = ((now - publishing.begin_ns) as f64 / 1e9 * rate) as u64;
        let (from, to) = (publishing.churned, due);
        publishing.churned = due;
        for n in from..to {
            // Those in even places stay, and are counted to the last message.
            let places = self.clients.len() as u64 / 2;
            if places == 0 {
                return;
            }
            self.replace((n % places * 2 + 1) as usize);
        }
    }

    fn replace(&mut self, place: usize) {
        if !self.clients[place].is_open() {
            return;
        }
        let number = self.clients[place].number();
        match self.begin(number, place, false) {
            Ok(client) => {
                let old = std::mem::replace(&mut self.clients[place], client);
                self.open -= 1;
                self.ears.counts.lost += old.lost_between();
            }
            Err(error) => {
                self.ears.counts.failed += 1;
                *self.failures.entry(error.to_string()).or_default() += 1;
            }
        }
    }

    /// Tells when everything is published.
    pub(super) fn check_published(&mut self, now: u64) -> io::Result<()> {
        let Phase::Publishing(publishing) = &self.phase else { return Ok(()) };
        let closed = matches!(self.plan.mode, Mode::Closed { .. });
        if closed && now > publishing.landed_ns.max(publishing.begin_ns) + ns(FLIGHT_PATIENCE) {
            self.ears.flights.give_up();
        }
        let is_over = now >= publishing.end_ns;
        let has_patience = now < publishing.end_ns + ns(ANSWER_PATIENCE);
        let is_sent = publishing.next(&self.plan).is_none();
        if !is_over || has_patience && !(is_sent && self.publishers.values().all(Publisher::is_done)) {
            return Ok(());
        }
        let (mut accepted, mut refused, mut in_doubt) = (Vec::new(), 0, 0);
        for publisher in self.publishers.values() {
            accepted.extend(publisher.accepted().iter().map(|(stream, count)| (*stream, *count)));
            let (was_refused, is_in_doubt) = publisher.refused_and_in_doubt();
            refused += was_refused;
            in_doubt += is_in_doubt;
            if let Some(failure) = publisher.failure() {
                *self.failures.entry(format!("a publisher: {failure}")).or_default() += 1;
            }
        }
        self.phase = Phase::Resting;
        tell(&News::Published { accepted, refused, in_doubt })
    }
}
