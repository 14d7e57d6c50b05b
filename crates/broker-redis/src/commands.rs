//! The connection for commands: one multiplexed connection, used by clones from every thread, and
//! its supervisor.
//!
//! While there is no connection every command fails at once, so that publishers hear `unavailable`
//! instead of waiting for an outage to end.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{Arg, AsyncConnectionConfig, Cmd, RedisError, Value};
use roomcast_broker::{BrokerError, BrokerErrorKind, BrokerStatus, SharedRetention};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::config::RedisConfig;
use crate::library::Library;
use crate::socket::Socket;

/// Most commands under way at once. At a round trip of 1 ms this is 8 million a second; more
/// means that Redis does not keep up, and the next publisher is told so instead of queued.
const COMMANDS_MAX: usize = 8192;

/// How often the connection is asked for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(1);

/// Refusals are logged once in this time. Each concerns one message or room, and there may be very many.
const REFUSALS_LOGGED_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Commands {
    config: RedisConfig,
    connection: ArcSwapOption<MultiplexedConnection>,
    permits: Semaphore,
    /// Told when the connection is found to be unusable.
    broken: Notify,
    /// Told when there is a new connection.
    connected: Notify,
    library: Library,
    /// When a refusal was logged last.
    refusal_logged: Mutex<Option<Instant>>,
    refusals: AtomicU64,
}

impl Commands {
    pub(crate) fn new(config: &RedisConfig, retention: SharedRetention) -> Self {
        Self {
            config: config.clone(),
            connection: ArcSwapOption::empty(),
            permits: Semaphore::new(COMMANDS_MAX),
            broken: Notify::new(),
            connected: Notify::new(),
            library: Library::new(&config.prefix, retention),
            refusal_logged: Mutex::default(),
            refusals: AtomicU64::new(0),
        }
    }

    /// Sends one command and waits for its answer, for as long as the configured timeout.
    pub(crate) async fn run(&self, command: &Cmd) -> Result<Value, BrokerError> {
        let _permit = self.permits.try_acquire().map_err(|_| {
            unavailable(format!("Redis is too slow: {COMMANDS_MAX} commands are under way already"))
        })?;
        let Some(connection) = self.connection.load_full() else {
            return Err(unavailable(format!("Redis at {} cannot be reached", self.config.address())));
        };
        let mut handle = MultiplexedConnection::clone(&connection);
        let mut answer = command.query_async(&mut handle).await;
        if answer.as_ref().is_err_and(is_missing_function) {
            // Restarted without its data, or flushed: nothing was done yet, so it can be done again.
            if let Err(error) = self.library.put_back(&mut handle).await {
                return Err(self.failed(&connection, command, &error));
            }
            answer = command.query_async(&mut handle).await;
        }
        answer.map_err(|error| self.failed(&connection, command, &error))
    }

    /// What is known here about how the broker is doing.
    pub(crate) fn status(&self) -> BrokerStatus {
        BrokerStatus {
            commands: COMMANDS_MAX - self.permits.available_permits(),
            commands_max: COMMANDS_MAX,
            refusals: self.refusals.load(Ordering::Relaxed),
            ..BrokerStatus::default()
        }
    }

    /// What tells this server from the one before a failover.
    pub(crate) fn generation(&self) -> Arc<String> {
        self.library.generation()
    }

    /// What tells this process of the server from one that ran before it, or elsewhere.
    pub(crate) fn server(&self) -> Arc<String> {
        self.library.server()
    }

    /// Completes when there is a new connection; for one task.
    pub(crate) async fn connected(&self) {
        self.connected.notified().await;
    }

    /// Drops the connection, so that the supervisor makes a new one.
    pub(crate) fn reconnect(&self) {
        self.connection.store(None);
        self.broken.notify_one();
    }

    fn failed(&self, used: &Arc<MultiplexedConnection>, command: &Cmd, error: &RedisError) -> BrokerError {
        let lost = error.is_unrecoverable_error() || error.is_io_error() || error.is_timeout();
        if !lost {
            self.refusals.fetch_add(1, Ordering::Relaxed);
            let message =
                format!("Redis at {} refused {}: {error}", self.config.address(), without_payload(command));
            self.log_refusal(&message);
            return BrokerError::new(BrokerErrorKind::Rejected, message);
        }
        // Another command may have found out before, and the supervisor may have a new one already.
        let still_current = self.connection.load().as_ref().is_some_and(|now| Arc::ptr_eq(now, used));
        if still_current {
            self.reconnect();
        }
        let message = format!("Redis at {} did not answer: {error}", self.config.address());
        BrokerError::new(BrokerErrorKind::InDoubt, message)
    }

    /// Nobody else can tell an operator that Redis is full, or that a room's key is somebody else's.
    fn log_refusal(&self, message: &str) {
        let now = Instant::now();
        let mut logged = self.refusal_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_none_or(|at| now.duration_since(at) >= REFUSALS_LOGGED_EVERY) {
            *logged = Some(now);
            warn!("{message}");
        }
    }

    /// Keeps a connection standing, for ever.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let mut backoff = Backoff::new();
        let mut failing = false;
        loop {
            match self.connect().await {
                Ok(connection) => {
                    if std::mem::take(&mut failing) {
                        info!(redis = self.config.address(), "commands reach Redis again");
                    }
                    backoff.reset();
                    self.connection.store(Some(Arc::new(connection.clone())));
                    self.connected.notify_one();
                    self.watch(connection).await;
                    self.connection.store(None);
                }
                Err(error) if !failing => {
                    failing = true;
                    warn!(redis = self.config.address(), %error, "cannot connect to Redis for commands; trying on");
                }
                Err(_) => {}
            }
            tokio::time::sleep(backoff.wait()).await;
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let limit = self.config.timeout;
        let settings = AsyncConnectionConfig::new().set_response_timeout(Some(limit));
        let login = self.config.login().map_err(std::io::Error::other)?;
        let connecting = async {
            let socket = Socket::connect(&self.config).await?;
            MultiplexedConnection::new_with_config(&login, socket, settings).await
        };
        let (mut connection, driver) =
            timeout(limit, connecting).await.map_err(|_| std::io::Error::from(ErrorKind::TimedOut))??;
        // Ends when the last clone of the connection is dropped.
        tokio::spawn(driver);
        if let Err(error) = self.library.prepare(&mut connection).await {
            if error.is_unrecoverable_error() || error.is_timeout() {
                return Err(error);
            }
            warn!(redis = self.config.address(), %error, "cannot load functions: rooms with history cannot be published to");
        }
        Ok(connection)
    }

    /// Returns when the connection does not work any more.
    async fn watch(&self, mut connection: MultiplexedConnection) {
        let mut ping = Cmd::new();
        ping.arg("PING");
        loop {
            tokio::select! {
                () = self.broken.notified() => return,
                () = tokio::time::sleep(PING_EVERY) => {}
            }
            tokio::select! {
                () = self.broken.notified() => return,
                answer = ping.query_async::<Value>(&mut connection) => {
                    if answer.is_err() {
                        return;
                    }
                    if let Err(error) = self.library.follow_settings(&mut connection).await {
                        warn!(%error, "the functions for backends do not have the new settings");
                    }
                }
            }
        }
    }
}

/// A command with its key or channel, for people.
fn without_payload(command: &Cmd) -> String {
    let arguments = command.args_iter().filter_map(|argument| match argument {
        Arg::Simple(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    });
    let mut arguments: Vec<_> = arguments.take(4).collect();
    if !arguments.first().is_some_and(|name| name.starts_with("FCALL")) {
        arguments.truncate(2);
    }
    arguments.join(" ")
}

fn is_missing_function(error: &RedisError) -> bool {
    error.to_string().contains("Function not found")
}

fn unavailable(message: String) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Unavailable, message)
}
