//! A node, its good clients, and what an attack must not do to them.
//!
//! Quiet windows and attacks take turns, so that what else the machine does falls on both alike. Attackers, good clients
//! and node share the machine, perhaps with other programs, and a ratio of two numbers of a few milliseconds says what the
//! scheduler did, not what the node did. So a 99th percentile counts as at least [`FLOOR_US`], and as at least what two
//! threads of this process that talk over a socket see during the attack; and an attack that seems to have done harm is
//! tried again, up to [`TRIES_MAX`] times: one that does harm does it every time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use xtask::{Node, wait_until};

use crate::crowd::Crowd;

const BINARY: &str = env!("CARGO_BIN_EXE_roomcast");

/// What counts as the 99th percentile of a quiet time that was better, in µs: two time slices of a busy scheduler with
/// the forty threads of the good clients, far below what a person notices.
const FLOOR_US: u64 = 20_000;
/// How much slower deliveries may be during an attack.
const RATIO_MAX: u64 = 2;
const TRIES_MAX: usize = 3;
/// Quiet windows, and attacks, in each try.
const ROUNDS: usize = 2;
/// How long a quiet window lasts; attacks that end sooner are repeated as long.
const WINDOW: Duration = Duration::from_millis(250);

/// What may stay in memory besides a tenth, in KiB: pages that the allocator keeps for the next time, which depend
/// on which thread freed what.
const ALLOCATOR_KIB: u64 = 4 * 1024;
/// What the first attack of its kind may leave behind besides, in KiB: code and tables that are read in
/// when they are first used, and the allocator's first arenas.
const FIRST_USE_KIB: u64 = 8 * 1024;

/// A running node with its good clients. There is one at a time, because each needs the machine for itself.
pub(crate) struct Scene {
    pub(crate) node: Node,
    port: u16,
    crowd: Option<Crowd>,
    alone: Option<MutexGuard<'static, ()>>,
}

impl Scene {
    /// A node with these settings, which good clients have come to.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_behind(settings, Node::port)
    }

    /// The same, where good clients come by another port, such as one that speaks TLS to the node.
    pub(crate) fn start_behind(settings: &[&str], port: impl FnOnce(&Node) -> u16) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let arguments: Vec<_> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let node = Node::start(BINARY, &arguments).unwrap();
        // Nodes may begin and end while another scene goes on: that is next to no work.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let crowd = Crowd::join(port(&node));
        Self { port: node.port(), node, crowd: Some(crowd), alone: Some(alone) }
    }

    /// Where attackers connect.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Nobody but the attacker is to notice this attack, which also checks the answer that the attacker gets.
    /// It is repeated until a window is over.
    #[track_caller]
    pub(crate) fn withstands(&self, name: &str, attack: impl Fn(u16) + Sync) {
        let begin = Instant::now();
        let cold = State::of(&self.node);
        attack(self.port);
        let warm = self.settled(cold, FIRST_USE_KIB);
        self.compare(name, ROUNDS, || {
            let begin = Instant::now();
            while begin.elapsed() < WINDOW {
                attack(self.port);
            }
        });
        let after = self.settled(warm, ALLOCATOR_KIB);
        println!(
            "{name}: memory {} KiB, warm {}, after {}; {:?}",
            cold.kib,
            warm.kib,
            after.kib,
            begin.elapsed()
        );
    }

    /// Quiet windows and attacks take turns.
    #[track_caller]
    fn compare(&self, name: &str, rounds: usize, attack: impl Fn()) {
        let crowd = self.crowd.as_ref().unwrap();
        let mut tries = Vec::new();
        for _ in 0..TRIES_MAX {
            let (mut quiet, mut attacked, mut machine) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..rounds {
                quiet.extend(crowd.latencies_during(|| sleep(WINDOW)).0);
                let (deliveries, echoes) = crowd.latencies_during(&attack);
                attacked.extend(deliveries);
                machine.extend(echoes);
            }
            let [quiet, attacked, machine] = [quiet, attacked, machine].map(p99_us);
            println!("{name}: p99 {quiet} µs before, {attacked} µs during, {machine} µs without a node");
            if attacked <= RATIO_MAX * quiet.max(machine).max(FLOOR_US) {
                return;
            }
            tries.push((quiet, attacked, machine));
        }
        panic!("{name}: deliveries suffer, p99 before, during, and without a node, in µs: {tries:?}");
    }

    /// The same for an attack that takes seconds: made once, unless it seems to do harm, and without a rehearsal.
    #[track_caller]
    pub(crate) fn withstands_once(&self, name: &str, attack: impl Fn(u16)) {
        let begin = Instant::now();
        let cold = State::of(&self.node);
        self.compare(name, 1, || {
            let begin = Instant::now();
            attack(self.port);
            // One that is over soon may do its harm afterwards.
            sleep(WINDOW.saturating_sub(begin.elapsed()));
        });
        let after = self.settled(cold, FIRST_USE_KIB);
        println!("{name}: memory {} KiB, after {}; {:?}", cold.kib, after.kib, begin.elapsed());
    }

    /// Waits until nothing is left of the attackers: connections, descriptors, memory.
    #[track_caller]
    fn settled(&self, before: State, slack_kib: u64) -> State {
        let limit_kib = before.kib + before.kib / 10 + slack_kib;
        let begin = Instant::now();
        loop {
            let state = State::of(&self.node);
            let back = state.descriptors <= before.descriptors && state.connections <= before.connections;
            if back && state.kib <= limit_kib {
                return state;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "{before:?} became {state:?}, up to {limit_kib} KiB"
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// A counter of the node.
    pub(crate) fn metric(&self, name: &str, label: &str) -> f64 {
        self.node.metric(name, label).unwrap()
    }

    /// Everybody leaves, and the node is still well.
    pub(crate) fn end(mut self) {
        assert!(self.node.is_ready());
        self.crowd.take().unwrap().leave();
        drop(self.alone.take());
        wait_until("everybody is gone", || self.metric("roomcast_connections", "") == 0.0);
        wait_until("so are all rooms", || self.metric("roomcast_rooms", "") == 0.0);
        assert_eq!(self.metric("roomcast_outbox_bytes", ""), 0.0);
        assert!(!self.node.output().contains("panicked"), "{}", self.node.output());
    }
}

/// What an attack must not leave changed.
#[derive(Debug, Clone, Copy)]
struct State {
    kib: u64,
    descriptors: usize,
    connections: f64,
}

impl State {
    fn of(node: &Node) -> Self {
        let connections = node.metric("roomcast_connections", "").unwrap();
        let descriptors = node.descriptors().unwrap();
        Self { kib: node.resident_kib().unwrap(), descriptors, connections }
    }
}

fn p99_us(mut latencies: Vec<u64>) -> u64 {
    latencies.sort_unstable();
    assert!(!latencies.is_empty(), "there were deliveries");
    latencies[(latencies.len() - 1) * 99 / 100]
}
