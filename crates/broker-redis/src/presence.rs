//! Who is in which room, on all nodes: a driver that tells Redis what this node's members do, keeps the node's
//! lease, and lets the members of nodes leave that have lost theirs.
//!
//! Redis hears of members that come and go, and one renewal every [`RENEW_EVERY`]: nothing that grows with
//! connections that only stay. A node whose lease has lapsed, or that Redis does not know any more, or whose Redis
//! is another process than before and may lack what was written last, takes a new name and states all its members
//! under it. So whatever is left under the old name can be dropped by anyone, at any time, without a race.

mod event;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{Cmd, Value};
use roomcast_broker::{BrokerError, BrokerErrorKind, LEASE, LocalMembers, PresenceDelta, RoomMembers};
use roomcast_protocol::{Member, NodeId, Room};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{debug, warn};

pub(crate) use event::{EVENT_VERSION, event};

use crate::channels::Channels;
use crate::commands::Commands;
use crate::functions::{PRESENCE_DROP, PRESENCE_RENEW, PRESENCE_SET};

/// A third of the lease: two renewals may fail.
const RENEW_EVERY: Duration = LEASE.checked_div(3).expect("three is not zero");

/// The wait after something has failed, unless there is a new connection before.
const RETRY: Duration = Duration::from_secs(1);

/// How long changes are gathered before they are told: a wave of connections costs one command a room.
const GATHER: Duration = Duration::from_millis(20);

/// Members in one command, so that Redis serves others in between.
const MEMBERS_PER_COMMAND: usize = 100;

/// Rooms that are told at once.
const ROOMS_AT_ONCE: usize = 64;

/// Rooms of a lost node that are asked for at once.
const LOST_ROOMS_PER_COMMAND: usize = 64;

/// Rooms that are noted with one command.
const NOTED_PER_COMMAND: usize = 1000;

/// Former names of this node that are kept until they can be given up for dropping: each took a lease to lapse.
const FORMER_NAMES_MAX: usize = 16;

/// The sorted set of nodes and their leases.
const LEASES: &str = "roomcast:presence";

#[derive(Debug)]
pub(crate) struct Presence {
    node: NodeId,
    channels: Arc<Channels>,
    commands: Arc<Commands>,
    locals: Mutex<LocalMembers>,
    changed: Notify,
    /// Held during a turn, so that closing does not run beside one.
    lease: tokio::sync::Mutex<Lease>,
}

#[derive(Debug)]
struct Lease {
    /// Counts the names that this node has had.
    number: u32,
    renewed: Option<Instant>,
    /// Which Redis knows the name.
    server: Arc<String>,
    /// Names that this node had before, and that are still to be given up.
    former: Vec<String>,
    /// Nothing is stated any more.
    closed: bool,
}

impl Presence {
    pub(crate) fn new(node: NodeId, channels: Arc<Channels>, commands: Arc<Commands>) -> Self {
        let lease =
            Lease { number: 0, renewed: None, server: Arc::default(), former: Vec::new(), closed: false };
        Self {
            node,
            channels,
            commands,
            locals: Mutex::default(),
            changed: Notify::new(),
            lease: lease.into(),
        }
    }

    pub(crate) fn apply(&self, deltas: Vec<PresenceDelta>) {
        self.locals().apply(deltas, Instant::now());
        self.changed.notify_one();
    }

    /// Tells and renews, for ever.
    pub(crate) async fn drive(self: Arc<Self>) {
        let mut failing = false;
        // Beside the rest: a lost node may have had very many rooms, and the lease must not lapse over them.
        let mut dropping = JoinSet::new();
        loop {
            let (lost, result) = self.turn(Instant::now()).await;
            while dropping.try_join_next().is_some() {}
            if dropping.is_empty() && !lost.is_empty() {
                dropping.spawn(Arc::clone(&self).drop_all(lost));
            }
            match result {
                Ok(()) => failing = false,
                // The connection's supervisor tells about outages; this is for refusals.
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) && error.kind() == BrokerErrorKind::Rejected {
                        warn!(%error, "presence is not kept; may this user call functions and write roomcast:* keys?");
                    }
                    debug!(%error, "presence could not be told; trying on");
                    let _ = tokio::time::timeout(RETRY, self.commands.connected()).await;
                    continue;
                }
            }
            let wait = self.wait(Instant::now()).await;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.commands.connected() => {}
                () = self.changed.notified() => tokio::time::sleep(GATHER).await,
            }
        }
    }

    /// How long there is nothing to do, unless something changes.
    async fn wait(&self, now: Instant) -> Duration {
        let next_leave = self.locals().next_leave();
        let lease = self.lease.lock().await;
        if lease.closed {
            return LEASE;
        }
        let renewal = lease.renewed.map_or(now, |renewed| renewed + RENEW_EVERY);
        next_leave.map_or(renewal, |leave| leave.min(renewal)).saturating_duration_since(now)
    }

    /// Does what is due. Gives the names of nodes that are lost, and what has failed.
    async fn turn(self: &Arc<Self>, now: Instant) -> (Vec<String>, Result<(), BrokerError>) {
        let mut lease = self.lease.lock().await;
        if lease.closed {
            return (Vec::new(), Ok(()));
        }
        let is_another = lease.server != self.commands.server();
        let due = is_another || lease.renewed.is_none_or(|renewed| now >= renewed + RENEW_EVERY);
        let renewed = if due { self.renew(&mut lease, now).await } else { Ok(Vec::new()) };
        let lost = match renewed {
            Ok(lost) => lost,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let told = self.tell(&self.name(lease.number), now).await;
        // After that, so that nobody leaves for a moment.
        while let Some(name) = lease.former.last() {
            if let Err(error) = self.give_up(name).await {
                return (lost, Err(error));
            }
            lease.former.pop();
        }
        (lost, told)
    }

    /// The node stops: its members leave, and its lease ends.
    pub(crate) async fn close(self: &Arc<Self>) {
        let mut lease = self.lease.lock().await;
        if std::mem::replace(&mut lease.closed, true) {
            return;
        }
        self.locals().leave_all();
        let name = self.name(lease.number);
        let told = self.tell(&name, Instant::now()).await;
        if let Err(error) = told {
            return debug!(%error, "members are still there until the lease ends");
        }
        let _ = self.commands.run(Cmd::new().arg("DEL").arg(rooms_of(&name))).await;
        let _ = self.commands.run(Cmd::new().arg("ZREM").arg(LEASES).arg(name)).await;
    }

    /// Renews the lease, under a new name where the old one is not believed any more. Gives the names of others
    /// that are not.
    async fn renew(&self, lease: &mut Lease, now: Instant) -> Result<Vec<String>, BrokerError> {
        let server = self.commands.server();
        if lease.renewed.is_some() && lease.server == server {
            let mut answer = self.ask_for_lease(lease.number, "").await?;
            if answer.remove(0) == "1" {
                lease.renewed = Some(now);
                return Ok(answer);
            }
        }
        self.ask_for_lease(lease.number + 1, "new").await?;
        if lease.renewed.replace(now).is_some() && lease.former.len() < FORMER_NAMES_MAX {
            lease.former.push(self.name(lease.number));
        }
        lease.number += 1;
        lease.server = server;
        self.locals().tell_all();
        // What has cut this node off has done so to others: they get the time to come back, too.
        Ok(Vec::new())
    }

    /// Has a name of this node dropped, with what was told under it since others have dropped it or forgotten it.
    async fn give_up(&self, name: &str) -> Result<(), BrokerError> {
        let rooms = self.locals().rooms();
        for some in rooms.chunks(NOTED_PER_COMMAND) {
            self.note("SADD", name, some.iter()).await?;
        }
        self.commands.run(Cmd::new().arg("ZADD").arg(LEASES).arg(0).arg(name)).await.map(drop)
    }

    async fn ask_for_lease(&self, number: u32, is_new: &str) -> Result<Vec<String>, BrokerError> {
        let mut command = Cmd::new();
        command.arg("FCALL").arg(PRESENCE_RENEW).arg(1).arg(LEASES);
        command.arg(self.name(number)).arg(LEASE.as_millis() as u64).arg(is_new);
        texts(self.commands.run(&command).await?).filter(|answer| !answer.is_empty()).ok_or_else(unexpected)
    }

    /// States what others do not know yet, many rooms at a time.
    async fn tell(self: &Arc<Self>, name: &str, now: Instant) -> Result<(), BrokerError> {
        let untold = self.locals().untold(now);
        let mut failure = None;
        let mut rooms = untold.into_iter();
        loop {
            let batch: Vec<_> = rooms.by_ref().take(ROOMS_AT_ONCE).collect();
            if batch.is_empty() {
                return failure.map_or(Ok(()), Err);
            }
            // Noted first, so that members are found by whoever drops them.
            let noted = self.note("SADD", name, batch.iter().map(|(room, _)| room)).await;
            let mut tasks = JoinSet::new();
            for (room, members) in batch {
                let (this, name, noted) = (Arc::clone(self), name.to_owned(), noted.clone());
                tasks.spawn(async move {
                    let told = match noted {
                        Ok(()) => this.tell_room(&name, &room, &members).await,
                        Err(error) => Err(error),
                    };
                    (room, members, told)
                });
            }
            let mut emptied = Vec::new();
            while let Some(done) = tasks.join_next().await {
                let Ok((room, members, told)) = done else { continue };
                match told {
                    Ok(()) if self.locals().told(&room, &members) => emptied.push(room),
                    Ok(()) => {}
                    Err(error) => {
                        self.locals().not_told(&room, members);
                        failure = Some(error);
                    }
                }
            }
            if !emptied.is_empty()
                && let Err(error) = self.note("SREM", name, emptied.iter()).await
            {
                failure = Some(error);
            }
        }
    }

    async fn note(
        &self,
        verb: &str,
        name: &str,
        rooms: impl Iterator<Item = &Room>,
    ) -> Result<(), BrokerError> {
        let mut command = Cmd::new();
        command.arg(verb).arg(rooms_of(name));
        for room in rooms {
            command.arg(self.channels.plain(room));
        }
        self.commands.run(&command).await.map(drop)
    }

    async fn tell_room(&self, name: &str, room: &Room, members: &[Member]) -> Result<(), BrokerError> {
        for some in members.chunks(MEMBERS_PER_COMMAND) {
            let mut command = Cmd::new();
            command.arg("FCALL").arg(PRESENCE_SET).arg(1).arg(self.channels.plain(room)).arg(name);
            for member in some {
                command.arg(member.id.to_string()).arg(member.connections);
                command.arg(member.info.as_deref().unwrap_or_default());
            }
            self.commands.run(&command).await?;
        }
        Ok(())
    }

    /// Lets the members of lost nodes leave.
    async fn drop_all(self: Arc<Self>, names: Vec<String>) {
        for name in names {
            match self.drop_lost(&name).await {
                Ok(()) => debug!(name, "the members of a lost node have left"),
                Err(error) => debug!(name, %error, "not all members of a lost node have left; trying on"),
            }
        }
    }

    /// Lets the members leave that a node had under a name that is not believed any more. Several nodes may do so
    /// at once: each member leaves once. A room that cannot be left keeps the name, and no other room.
    async fn drop_lost(self: &Arc<Self>, name: &str) -> Result<(), BrokerError> {
        loop {
            let mut some = Cmd::new();
            some.arg("SRANDMEMBER").arg(rooms_of(name)).arg(LOST_ROOMS_PER_COMMAND);
            let rooms = texts(self.commands.run(&some).await?).ok_or_else(unexpected)?;
            if rooms.is_empty() {
                return self.commands.run(Cmd::new().arg("ZREM").arg(LEASES).arg(name)).await.map(drop);
            }
            let mut tasks = JoinSet::new();
            for room in rooms {
                let (this, mut leave) = (Arc::clone(self), Cmd::new());
                leave.arg("FCALL").arg(PRESENCE_DROP).arg(1).arg(&room).arg(name);
                tasks.spawn(async move { this.commands.run(&leave).await.map(|left| (room, left)) });
            }
            let mut failure = None;
            let (mut answers, mut dropped, mut forget) = (0, 0, Cmd::new());
            forget.arg("SREM").arg(rooms_of(name));
            while let Some(done) = tasks.join_next().await {
                match done {
                    Ok(Ok((room, left))) => {
                        answers += 1;
                        if left == Value::Int(0) {
                            dropped += 1;
                            forget.arg(room);
                        }
                    }
                    Ok(Err(error)) => failure = Some(error),
                    Err(_) => {}
                }
            }
            if answers == 0 {
                return failure.map_or(Ok(()), Err);
            }
            if dropped > 0 {
                self.commands.run(&forget).await?;
            }
        }
    }

    /// Who is in a room now.
    pub(crate) async fn members(&self, room: &Room) -> Result<RoomMembers, BrokerError> {
        let key = format!("{{{}}}:p", self.channels.plain(room));
        let answer = self.commands.run(Cmd::new().arg("HGETALL").arg(key)).await?;
        let mut texts = texts(answer).ok_or_else(unexpected)?.into_iter();
        let mut found = RoomMembers::default();
        while let (Some(member), Some(value)) = (texts.next(), texts.next()) {
            if member.is_empty() {
                found.version = value.parse().map_err(|_| unexpected())?;
                continue;
            }
            let (connections, info) = value.split_once(' ').ok_or_else(unexpected)?;
            let connections = connections.parse().map_err(|_| unexpected())?;
            found.members.extend(event::read_member(&member, connections, info));
        }
        Ok(found)
    }

    fn name(&self, number: u32) -> String {
        format!("{}.{number}", self.node)
    }

    fn locals(&self) -> MutexGuard<'_, LocalMembers> {
        self.locals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The set of rooms where the node of this name has members.
fn rooms_of(name: &str) -> String {
    format!("{LEASES}:{name}")
}

/// The texts of an array or a map.
fn texts(answer: Value) -> Option<Vec<String>> {
    let text = |value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    };
    match answer {
        Value::Array(items) | Value::Set(items) => items.into_iter().map(text).collect(),
        Value::Map(pairs) => pairs.into_iter().flat_map(|(key, value)| [text(key), text(value)]).collect(),
        _ => None,
    }
}

fn unexpected() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Rejected, "Redis answered something unexpected about presence")
}
