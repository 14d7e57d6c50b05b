//! How those who hold a token with an unknown key, and the one who fetches keys, find each other:
//! however many ask, there is one fetch a cooldown, and it answers them all.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// The time from one fetch that a token caused to the next: what thousands of made-up key ids cost
/// the issuer is one request in this time.
pub const COOLDOWN: Duration = Duration::from_secs(10);

/// How long a client may wait for keys.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The meeting point.
#[derive(Debug)]
pub struct Refresh {
    cooldown: Duration,
    state: Mutex<State>,
    wished: Notify,
    /// Counts fetches that came to an end.
    finished: watch::Sender<u64>,
    failures: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Whether there is anywhere to fetch from.
    possible: bool,
    wish: bool,
    running: bool,
    /// Whether the keys that are there are those of the last fetch.
    current: bool,
    started: Option<Instant>,
}

/// What came of waiting for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// A fetch has ended, well or not.
    Fetched,
    /// None has, in the time that a client may wait.
    InVain,
    /// There is nowhere to fetch from.
    Nowhere,
}

/// A fetch under way. Dropping it answers everyone who waits.
#[derive(Debug)]
pub struct Fetch<'a>(&'a Refresh);

impl Refresh {
    pub(crate) fn new(possible: bool, cooldown: Duration) -> Self {
        let state = Mutex::new(State { possible, ..State::default() });
        Self {
            cooldown,
            state,
            wished: Notify::new(),
            finished: watch::Sender::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Waits until a client wants keys that are not there, and the last fetch is a cooldown ago. A
    /// wish stays until [`begin`](Self::begin), also when this is dropped half way.
    pub async fn wanted(&self) {
        loop {
            let wished = self.wished.notified();
            let state = {
                let state = self.state();
                (state.wish, state.started)
            };
            match state {
                (true, Some(started)) => return sleep_until(started + self.cooldown).await,
                (true, None) => return,
                (false, _) => wished.await,
            }
        }
    }

    /// A fetch begins, for whatever reason.
    pub fn begin(&self) -> Fetch<'_> {
        let mut state = self.state();
        state.wish = false;
        state.running = true;
        state.started = Some(Instant::now());
        drop(state);
        Fetch(self)
    }

    /// There is another place to fetch from, or none, from now on.
    pub(crate) fn moved(&self, possible: bool) {
        let mut state = self.state();
        state.possible = possible;
        state.current = false;
        state.started = None;
    }

    /// How many fetches have failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether the last fetch went well.
    pub(crate) fn is_current(&self) -> bool {
        self.state().current
    }

    /// Asks for a fetch, or for the end of the one that is under way. Does not wait where the cooldown
    /// lasts longer than anybody should; the wish stays.
    pub(crate) async fn wait(&self) -> Waited {
        let mut finished = self.finished.subscribe();
        match self.ask() {
            None => Waited::Nowhere,
            Some(false) => Waited::InVain,
            Some(true) => match timeout(WAIT_MAX, finished.changed()).await {
                Ok(_) => Waited::Fetched,
                Err(_) => Waited::InVain,
            },
        }
    }

    /// Whether it is worth waiting; `None` where there is nowhere to fetch from.
    fn ask(&self) -> Option<bool> {
        let mut state = self.state();
        if !state.possible {
            return None;
        }
        if state.running {
            return Some(true);
        }
        if !state.wish {
            state.wish = true;
            self.wished.notify_one();
        }
        Some(state.started.is_none_or(|started| started + self.cooldown <= Instant::now() + WAIT_MAX))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before the lock is let go.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetch<'_> {
    /// The keys are there, and in use.
    pub(crate) fn succeeded(&self) {
        self.0.state().current = true;
    }

    /// There are no keys to be had.
    pub fn failed(self) {
        self.0.state().current = false;
        self.0.failures.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        self.0.state().running = false;
        self.0.finished.send_modify(|count| *count = count.wrapping_add(1));
    }
}
