//! The subscription link: one connection on which this node hears its rooms, and its supervisor.
//!
//! The supervisor connects again for as long as it takes, asks for every wanted room, and takes a
//! connection for dead when it is silent or when probes that were published do not arrive on it.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};
use roomcast_broker::{BrokerEvent, EventSender};
use roomcast_protocol::{Control, Payload, Publication, Push, Room};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::backoff::Backoff;
use crate::channels::{self, Channel, Channels};
use crate::commands::Commands;
use crate::config::{ConfigError, RedisConfig};
use crate::envelope;
use crate::presence;
use crate::probes::Probes;
use crate::resp::{Malformed, Reader, Reply};
use crate::socket::Socket;
use crate::subscriptions::{Changes, Subscriptions};
use crate::wishes::Wishes;

/// Rooms in one SUBSCRIBE command: enough to make the command's own cost vanish, few enough that
/// Redis serves others in between.
const ROOMS_PER_COMMAND: usize = 256;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// How often the link sends a ping and looks at its health.
const TICK: Duration = Duration::from_secs(1);

pub(crate) struct Link {
    config: RedisConfig,
    channels: Arc<Channels>,
    wishes: Arc<Wishes>,
    probes: Arc<Probes>,
    commands: Arc<Commands>,
    events: EventSender,
    subscriptions: Subscriptions,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("Redis closed the connection")]
    Closed,
    #[error("nothing heard for {0:?}")]
    Silent(Duration),
    #[error("what is published does not arrive any more, although the connection stands")]
    Deaf,
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("Redis refused: {0}")]
    Refused(String),
    #[error("the hub is gone")]
    HubGone,
}

/// One standing connection.
struct Connection {
    stream: Socket,
    reader: Reader,
    /// Commands that are not written yet. Bounded by the wishes: each room is in it at most once
    /// for each change, and changes are taken only when it is empty.
    out: BytesMut,
    /// Written, and perhaps kept back by TLS.
    unflushed: bool,
    heard: Instant,
    /// Probes are confirmed as a channel like any other: then the link is up.
    up: bool,
}

impl Link {
    pub(crate) fn new(
        config: RedisConfig,
        channels: Arc<Channels>,
        wishes: Arc<Wishes>,
        probes: Arc<Probes>,
        commands: Arc<Commands>,
        events: EventSender,
    ) -> Self {
        let subscriptions = Subscriptions::default();
        Self { config, channels, wishes, probes, commands, events, subscriptions }
    }

    /// Keeps the link alive until the hub is gone.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new();
        let mut reported = false;
        loop {
            let (was_up, error) = self.connect_and_listen().await;
            if matches!(error, LinkError::HubGone) {
                return;
            }
            if was_up {
                backoff.reset();
                reported = false;
                self.probes.connection_lost();
                if self.events.send(BrokerEvent::Down(error.to_string())).await.is_err() {
                    return;
                }
            }
            if !std::mem::replace(&mut reported, true) {
                warn!(redis = self.config.address(), %error, "no subscription link to Redis; trying on");
            }
            self.wait(backoff.wait()).await;
        }
    }

    /// Waits, and takes wishes meanwhile so that they do not pile up.
    async fn wait(&mut self, time: Duration) {
        let pause = sleep(time);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => return,
                () = self.wishes.changed() => {
                    self.subscriptions.apply(self.wishes.take(), false);
                }
            }
        }
    }

    /// One connection's life; tells whether it ever was up, and why it ended.
    async fn connect_and_listen(&mut self) -> (bool, LinkError) {
        let limit = self.config.timeout;
        let mut connection = match timeout(limit, self.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return (false, error),
            Err(_) => return (false, LinkError::Silent(limit)),
        };
        let error = match self.listen(&mut connection).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        (connection.up, error)
    }

    async fn connect(&mut self) -> Result<Connection, LinkError> {
        let redis = self.config.login()?;
        let mut stream = Socket::connect(&self.config).await?;
        let mut reader = Reader::default();
        let mut hello: Vec<Vec<&[u8]>> = Vec::new();
        if let Some(password) = redis.password() {
            let user = redis.username().unwrap_or("default");
            hello.push(vec![b"AUTH", user.as_bytes(), password.as_bytes()]);
        }
        hello.push(vec![b"CLIENT", b"SETNAME", b"roomcast-link"]);
        let mut out = BytesMut::new();
        for command in &hello {
            write_command(&mut out, command);
        }
        stream.write_all(&out).await?;
        stream.flush().await?;
        for _ in &hello {
            read_ok(&mut stream, &mut reader).await?;
        }
        out.clear();
        write_command(
            &mut out,
            &[b"SUBSCRIBE", channels::CONTROL.as_bytes(), self.channels.probe().as_bytes()],
        );
        self.subscriptions.apply(self.wishes.take(), false);
        let rooms = self.subscriptions.connected();
        debug!(redis = self.config.address(), rooms = rooms.len(), "subscription link connected");
        self.write_rooms(&mut out, b"SUBSCRIBE", &rooms);
        Ok(Connection { stream, reader, out, unflushed: false, heard: Instant::now(), up: false })
    }

    async fn listen(&mut self, connection: &mut Connection) -> Result<std::convert::Infallible, LinkError> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let writing = !connection.out.is_empty() || connection.unflushed;
            tokio::select! {
                progress = connection.progress() => match progress? {
                    Progress::Read => self.take_in(connection).await?,
                    Progress::Written => {}
                },
                () = self.wishes.changed(), if !writing => self.take_wishes(connection).await?,
                _ = tick.tick() => self.check(connection)?,
            }
        }
    }

    /// Passes on what was read, in order.
    async fn take_in(&mut self, connection: &mut Connection) -> Result<(), LinkError> {
        let mut confirmed = Vec::new();
        while let Some(reply) = connection.reader.next()? {
            match reply {
                Reply::Confirmed { channel } => match self.channels.classify(&channel) {
                    Channel::Plain(room) | Channel::Message(room) => {
                        confirmed.extend(self.subscriptions.reply(room));
                    }
                    Channel::Probe => self.up(connection).await?,
                    Channel::Control | Channel::Foreign => {}
                },
                Reply::Message { channel, payload } => {
                    self.send_confirmed(&mut confirmed).await?;
                    if let Some(event) = self.event(&channel, payload) {
                        self.send(event).await?;
                    }
                }
                Reply::TooLarge { channel, len } => {
                    let channel = String::from_utf8_lossy(&channel);
                    error!(%channel, bytes = len, "dropped a message larger than any room takes");
                }
                Reply::Error(message) => return Err(LinkError::Refused(message)),
                Reply::Other => {}
            }
        }
        self.send_confirmed(&mut confirmed).await?;
        // Also after waiting for a busy hub: that was not the connection's silence.
        connection.heard = Instant::now();
        Ok(())
    }

    async fn up(&mut self, connection: &mut Connection) -> Result<(), LinkError> {
        if !std::mem::replace(&mut connection.up, true) {
            info!(redis = self.config.address(), "subscription link to Redis is up");
            self.send(BrokerEvent::Up).await?;
        }
        Ok(())
    }

    async fn send_confirmed(&self, rooms: &mut Vec<Room>) -> Result<(), LinkError> {
        if rooms.is_empty() {
            return Ok(());
        }
        self.send(BrokerEvent::Subscribed(std::mem::take(rooms))).await
    }

    async fn send(&self, event: BrokerEvent) -> Result<(), LinkError> {
        self.events.send(event).await.map_err(|_| LinkError::HubGone)
    }

    fn event(&self, channel: &[u8], payload: bytes::Bytes) -> Option<BrokerEvent> {
        let publication = match self.channels.classify(channel) {
            Channel::Plain(room) => {
                Publication::plain(self.subscriptions.wanted(room)?, Payload::untyped(payload))
            }
            Channel::Message(room) if payload.first() == Some(&presence::EVENT_VERSION) => {
                return presence::event(self.subscriptions.wanted(room)?, payload).map(BrokerEvent::Presence);
            }
            Channel::Message(room) => match envelope::decode(self.subscriptions.wanted(room)?, payload) {
                Ok(publication) => publication,
                Err(error) => {
                    error!(room, %error, "dropped a message that cannot be read");
                    return None;
                }
            },
            Channel::Probe => {
                let token = std::str::from_utf8(&payload).ok()?.parse().ok()?;
                self.probes.returned(token);
                return Some(BrokerEvent::Probe(token));
            }
            Channel::Control => match Control::parse(&payload) {
                Ok(wish) => return Some(BrokerEvent::Control(wish)),
                Err(error) => {
                    error!(%error, "dropped what was published to roomcast:control");
                    return None;
                }
            },
            Channel::Foreign => return None,
        };
        Some(BrokerEvent::Publication(Arc::new(Push::new(publication))))
    }

    async fn take_wishes(&mut self, connection: &mut Connection) -> Result<(), LinkError> {
        let Changes { subscribe, unsubscribe, mut confirmed } =
            self.subscriptions.apply(self.wishes.take(), true);
        self.write_rooms(&mut connection.out, b"SUBSCRIBE", &subscribe);
        self.write_rooms(&mut connection.out, b"UNSUBSCRIBE", &unsubscribe);
        self.send_confirmed(&mut confirmed).await
    }

    fn write_rooms(&self, out: &mut BytesMut, command: &[u8], rooms: &[Room]) {
        for batch in rooms.chunks(ROOMS_PER_COMMAND) {
            let names: Vec<_> = batch
                .iter()
                .flat_map(|room| [self.channels.plain(room), self.channels.message(room)])
                .collect();
            let mut parts = vec![command];
            parts.extend(names.iter().map(String::as_bytes));
            write_command(out, &parts);
        }
    }

    /// Once a second: is the connection alive, and does it carry what is published?
    fn check(&self, connection: &mut Connection) -> Result<(), LinkError> {
        let silence = connection.heard.elapsed();
        if silence > self.config.timeout {
            return Err(LinkError::Silent(silence));
        }
        if self.probes.overdue() {
            // Commands and link may hang on different servers: both start anew.
            self.commands.reconnect();
            return Err(LinkError::Deaf);
        }
        if connection.out.is_empty() {
            write_command(&mut connection.out, &[b"PING"]);
        }
        Ok(())
    }
}

/// What a connection got on with.
enum Progress {
    /// Something has come.
    Read,
    /// Everything that was to be written is.
    Written,
}

impl Connection {
    /// Writes what waits and reads what comes. Nothing is lost when the future is dropped.
    async fn progress(&mut self) -> Result<Progress, LinkError> {
        poll_fn(|context| {
            if (!self.out.is_empty() || self.unflushed) && self.poll_write(context)?.is_ready() {
                return Poll::Ready(Ok(Progress::Written));
            }
            self.reader.buffer.reserve(READ_BYTES);
            let read = ready!(pin!(self.stream.read_buf(&mut self.reader.buffer)).poll(context))?;
            Poll::Ready(if read == 0 { Err(LinkError::Closed) } else { Ok(Progress::Read) })
        })
        .await
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        while !self.out.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.out))?;
            self.out.advance(written);
            self.unflushed = true;
        }
        // A wave of subscriptions may have made it large.
        self.out = BytesMut::new();
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }
}

async fn read_ok(stream: &mut Socket, reader: &mut Reader) -> Result<(), LinkError> {
    loop {
        match reader.next()? {
            Some(Reply::Error(message)) => return Err(LinkError::Refused(message)),
            Some(_) => return Ok(()),
            None => {}
        }
        if stream.read_buf(&mut reader.buffer).await? == 0 {
            return Err(LinkError::Closed);
        }
    }
}

/// One command in RESP2.
fn write_command(out: &mut BytesMut, parts: &[&[u8]]) {
    out.put_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.put_slice(format!("${}\r\n", part.len()).as_bytes());
        out.put_slice(part);
        out.put_slice(b"\r\n");
    }
}
