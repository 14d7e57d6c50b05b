//! Who is in which room, on all nodes: a driver that tells Redis what this node's members do, keeps the node's
//! lease, and lets the members of nodes leave that have lost theirs.
//!
//! Redis hears of members that come and go, and one renewal every [`RENEW_EVERY`]: nothing that grows with
//! connections that only stay. A node whose lease has lapsed, or that Redis does not know any more, takes a new
//! name and states all its members under it. So whatever is left under the old name can be dropped by anyone, at
//! any time, without a race.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use redis::{Cmd, Value};
use roomcast_broker::{
    BrokerError, BrokerErrorKind, LEASE, LocalMembers, PresenceDelta, PresenceEvent, RoomMembers,
};
use roomcast_protocol::{Member, NodeId, Room};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::channels::Channels;
use crate::commands::Commands;
use crate::functions::{PRESENCE_DROP, PRESENCE_RENEW, PRESENCE_SET};

/// A third of the lease: two renewals may fail.
const RENEW_EVERY: Duration = LEASE.checked_div(3).expect("three is not zero");

/// How long changes are gathered before they are told: a wave of connections costs one command a room.
const GATHER: Duration = Duration::from_millis(20);

/// Members in one command, so that Redis serves others in between.
const MEMBERS_PER_COMMAND: usize = 100;

/// Rooms that are told at once.
const ROOMS_AT_ONCE: usize = 64;

/// Rooms of a lost node that are asked for at once.
const LOST_ROOMS_PER_COMMAND: usize = 64;

/// The sorted set of nodes and their leases.
const LEASES: &str = "roomcast:presence";

/// First byte of what tells about members on a room's channel; messages begin with another.
pub(crate) const EVENT_VERSION: u8 = 2;

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
    /// Nothing is stated any more.
    closed: bool,
}

impl Presence {
    pub(crate) fn new(node: NodeId, channels: Arc<Channels>, commands: Arc<Commands>) -> Self {
        let lease = Lease { number: 0, renewed: None, closed: false };
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
        loop {
            let result = self.turn(Instant::now()).await;
            match result {
                Ok(()) => failing = false,
                // The connection's supervisor tells about outages; this is for refusals.
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) && error.kind() == BrokerErrorKind::Rejected {
                        warn!(%error, "presence is not kept; may this user call functions and write roomcast:* keys?");
                    }
                    debug!(%error, "presence could not be told; trying on");
                    tokio::time::sleep(RENEW_EVERY / 3).await;
                    continue;
                }
            }
            let wait = self.wait(Instant::now()).await;
            if tokio::time::timeout(wait, self.changed.notified()).await.is_ok() {
                tokio::time::sleep(GATHER).await;
            }
        }
    }

    /// How long there is nothing to do, unless something changes.
    async fn wait(&self, now: Instant) -> Duration {
        let next_leave = self.locals().next_leave();
        let renewal = self.lease.lock().await.renewed.map_or(now, |renewed| renewed + RENEW_EVERY);
        next_leave.map_or(renewal, |leave| leave.min(renewal)).saturating_duration_since(now)
    }

    async fn turn(self: &Arc<Self>, now: Instant) -> Result<(), BrokerError> {
        let mut lease = self.lease.lock().await;
        if lease.closed {
            return Ok(());
        }
        let due = lease.renewed.is_none_or(|renewed| now >= renewed + RENEW_EVERY);
        let lost = if due { self.renew(&mut lease, now).await? } else { Vec::new() };
        let told = self.tell(&self.name(lease.number), now).await;
        drop(lease);
        for name in lost {
            self.drop_lost(&name).await?;
        }
        told
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
        let _ = self.commands.run(Cmd::new().arg("ZREM").arg(LEASES).arg(name)).await;
    }

    /// Renews the lease, under a new name where the old one is not believed any more. Gives the names of others
    /// that are not.
    async fn renew(&self, lease: &mut Lease, now: Instant) -> Result<Vec<String>, BrokerError> {
        let mut answer = Vec::new();
        if lease.renewed.is_some() {
            answer = self.ask_for_lease(lease.number, "").await?;
        }
        if answer.first().is_none_or(|believed| believed != "1") {
            lease.number += 1;
            self.locals().tell_all();
            answer = self.ask_for_lease(lease.number, "new").await?;
        }
        lease.renewed = Some(now);
        answer.remove(0);
        Ok(answer)
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
            if !emptied.is_empty() {
                self.note("SREM", name, emptied.iter()).await?;
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

    /// Lets the members leave that a node had under a name that is not believed any more. Several nodes may do so
    /// at once: each member leaves once.
    async fn drop_lost(&self, name: &str) -> Result<(), BrokerError> {
        loop {
            let mut some = Cmd::new();
            some.arg("SRANDMEMBER").arg(rooms_of(name)).arg(LOST_ROOMS_PER_COMMAND);
            let rooms = texts(self.commands.run(&some).await?).ok_or_else(unexpected)?;
            if rooms.is_empty() {
                debug!(name, "the members of a lost node have left");
                return self.commands.run(Cmd::new().arg("ZREM").arg(LEASES).arg(name)).await.map(drop);
            }
            for room in rooms {
                let mut leave = Cmd::new();
                leave.arg("FCALL").arg(PRESENCE_DROP).arg(1).arg(&room).arg(name);
                self.commands.run(&leave).await?;
                self.commands.run(Cmd::new().arg("SREM").arg(rooms_of(name)).arg(&room)).await?;
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
            found.members.extend(read_member(&member, connections, info));
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

fn read_member(id: &str, connections: u32, info: &str) -> Option<Member> {
    Some(Member { id: id.parse().ok()?, connections, info: (!info.is_empty()).then(|| info.into()) })
}

/// What Redis tells about members of a room. Big-endian: the version of this format, that of the room, and for each
/// member its connections (4 bytes), the lengths of its id and info (2 each), and both. Nothing if it is not that.
pub(crate) fn event(room: Room, mut bytes: Bytes) -> Option<PresenceEvent> {
    if bytes.len() < 9 || bytes.get_u8() != EVENT_VERSION {
        return None;
    }
    let version = bytes.get_u64();
    let mut changes = Vec::new();
    while !bytes.is_empty() {
        if bytes.len() < 8 {
            return None;
        }
        let connections = bytes.get_u32();
        let (id, info) = (usize::from(bytes.get_u16()), usize::from(bytes.get_u16()));
        if bytes.len() < id + info {
            return None;
        }
        let (id, info) = (bytes.split_to(id), bytes.split_to(info));
        let (id, info) = (std::str::from_utf8(&id).ok()?, std::str::from_utf8(&info).ok()?);
        changes.extend(read_member(id, connections, info));
    }
    Some(PresenceEvent { room, version, changes })
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

#[cfg(test)]
mod tests {
    use super::*;
    use roomcast_protocol::MemberId;

    #[test]
    fn events_are_read_and_junk_is_not() {
        let room = || Room::parse("a").unwrap();
        let mut bytes = vec![EVENT_VERSION, 0, 0, 0, 0, 0, 0, 0, 7];
        bytes.extend([0, 0, 0, 2, 0, 6, 0, 2]);
        bytes.extend(b"ualice{}");
        bytes.extend([0, 0, 0, 0, 0, 4, 0, 0]);
        bytes.extend(b"ubob");
        let member = |name: &str, connections, info: Option<&str>| Member {
            id: MemberId::User(name.into()),
            connections,
            info: info.map(Into::into),
        };
        let changes = vec![member("alice", 2, Some("{}")), member("bob", 0, None)];
        let expected = PresenceEvent { room: room(), version: 7, changes };
        assert_eq!(event(room(), Bytes::from(bytes.clone())), Some(expected));
        for end in 0..bytes.len() {
            let cut = event(room(), Bytes::copy_from_slice(&bytes[..end]));
            assert!(cut.is_none_or(|event| event.changes.len() < 2), "{end}");
        }
    }
}
