//! Reads of history, and of members, that the router has under way.
//!
//! The router never waits for one: it asks here, goes on with other rooms, and takes the results from a queue. Reads
//! for repair are repeated until they succeed; identical reads for clients that come back are joined.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use roomcast_broker::{Broker, BrokerError, HistoryPage, PAGE_MESSAGES_MAX, RoomMembers};
use roomcast_protocol::{Position, Push, Room};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;
use tracing::debug;

use crate::presence::MembersReply;
use crate::queues::{HubStatus, ReadFor};
use crate::roster::sorted;
use crate::tracker::RECENT_MESSAGES_MAX;

/// Reads at the broker at once: enough to fill a pipeline, few enough that publications are not kept
/// waiting behind them after a reconnect with very many rooms.
const READS_MAX: usize = 64;
/// Results that wait for the router.
const RESULTS_MAX: usize = READS_MAX;
/// The wait after a read that failed. The link's supervisor knows about outages; this is for the rest.
const RETRY: Duration = Duration::from_millis(500);

/// A part of a room's history, for one who has everything up to some position.
#[derive(Debug, Clone, Default)]
pub struct Slice {
    /// Nothing is missing between that position and the first message.
    pub complete: bool,
    /// The room's last position.
    pub top: Option<Position>,
    /// What follows, in order; all of it, or as much as fits one page.
    pub messages: Vec<Arc<Push>>,
}

/// The answer to who has waited for a slice; `None` if the broker cannot be read.
pub(crate) type SliceReply = oneshot::Sender<Option<Slice>>;

/// What has come back.
#[derive(Debug)]
pub(crate) enum ReadResult {
    /// For the room's tracker. The ticket tells whether it is still wanted.
    Repair { room: Room, ticket: u64, page: HistoryPage },
    /// For clients.
    Slice { room: Room, after: Position, page: Result<HistoryPage, BrokerError> },
    /// For the room's roster. The ticket tells whether it is still wanted.
    Members { room: Room, ticket: u64, members: RoomMembers },
    /// For clients.
    MembersOnce { room: Room, members: Result<RoomMembers, BrokerError> },
}

/// Ends its read when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) number: u64,
    task: AbortHandle,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) struct Reads {
    reader: Reader,
    results: Sender<ReadResult>,
    next_ticket: u64,
    /// Who waits for which slice. Bounded by the connections that are being made.
    joined: HashMap<(Room, Position), Vec<SliceReply>>,
    /// Who waits for which members. Bounded by the requests under way.
    asked: HashMap<Room, Vec<MembersReply>>,
}

impl Reads {
    pub(crate) fn new(broker: Arc<dyn Broker>, status: Arc<HubStatus>) -> (Self, Receiver<ReadResult>) {
        let (results, receiver) = mpsc::channel(RESULTS_MAX);
        let reader = Reader { broker, permits: Arc::new(Semaphore::new(READS_MAX)), status };
        (Self { reader, results, next_ticket: 0, joined: HashMap::new(), asked: HashMap::new() }, receiver)
    }

    /// Reads for a tracker until it succeeds: what follows `after`, or the newest messages.
    pub(crate) fn repair(&mut self, room: Room, after: Option<Position>) -> Ticket {
        let number = self.next_ticket();
        let (reader, results) = (self.reader.clone(), self.results.clone());
        let limit = if after.is_some() { PAGE_MESSAGES_MAX } else { RECENT_MESSAGES_MAX };
        let task = tokio::spawn(async move {
            let page = until_it_succeeds(|| reader.history(ReadFor::Repair, &room, after, limit)).await;
            let _ = results.send(ReadResult::Repair { room, ticket: number, page }).await;
        });
        Ticket { number, task: task.abort_handle() }
    }

    /// Reads for a roster until it succeeds.
    pub(crate) fn members(&mut self, room: Room) -> Ticket {
        let number = self.next_ticket();
        let (reader, results) = (self.reader.clone(), self.results.clone());
        let task = tokio::spawn(async move {
            let members = until_it_succeeds(|| reader.members(&room)).await;
            let _ = results.send(ReadResult::Members { room, ticket: number, members }).await;
        });
        Ticket { number, task: task.abort_handle() }
    }

    /// Reads members for a client; whoever asks the same meanwhile gets the same answer.
    pub(crate) fn members_once(&mut self, room: Room, reply: MembersReply) {
        let waiting = self.asked.entry(room.clone()).or_default();
        waiting.push(reply);
        if waiting.len() > 1 {
            return;
        }
        let (reader, results) = (self.reader.clone(), self.results.clone());
        tokio::spawn(async move {
            let members = reader.members(&room).await;
            let _ = results.send(ReadResult::MembersOnce { room, members }).await;
        });
    }

    /// Answers everyone who has asked for these members.
    pub(crate) fn answer_members(&mut self, room: &Room, read: Result<RoomMembers, BrokerError>) {
        let members = read.ok().map(|read| sorted(read.members));
        for reply in self.asked.remove(room).unwrap_or_default() {
            let _ = reply.send(members.clone());
        }
    }

    fn next_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Reads for a client; whoever asks the same meanwhile gets the same answer.
    pub(crate) fn slice(&mut self, room: &Room, after: Position, reply: SliceReply) {
        let waiting = self.joined.entry((room.clone(), after)).or_default();
        waiting.push(reply);
        if waiting.len() > 1 {
            return;
        }
        let (reader, results) = (self.reader.clone(), self.results.clone());
        let room = room.clone();
        tokio::spawn(async move {
            let page = reader.history(ReadFor::Resume, &room, Some(after), PAGE_MESSAGES_MAX).await;
            let _ = results.send(ReadResult::Slice { room, after, page }).await;
        });
    }

    /// Answers everyone who has waited for this slice.
    pub(crate) fn answer(&mut self, room: Room, after: Position, page: Result<HistoryPage, BrokerError>) {
        let slice = page.ok().map(|page| Slice {
            complete: page.continues(after),
            top: page.top,
            messages: page.messages.into_iter().map(|message| Arc::new(Push::new(message))).collect(),
        });
        for reply in self.joined.remove(&(room, after)).unwrap_or_default() {
            let _ = reply.send(slice.clone());
        }
    }

    /// A room's history has lost what was delivered already: its next message begins a new epoch.
    pub(crate) fn renew(&self, room: Room, seen: Position) {
        let reader = self.reader.clone();
        tokio::spawn(async move {
            let _permit = reader.permits.acquire().await;
            if let Err(error) = reader.broker.renew(room.clone(), seen).await {
                debug!(%room, %error, "the room's epoch was not renewed");
            }
        });
    }
}

async fn until_it_succeeds<T, F: Future<Output = Result<T, BrokerError>>>(read: impl Fn() -> F) -> T {
    loop {
        match read().await {
            Ok(found) => return found,
            Err(error) => debug!(%error, "cannot be read; trying on"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Asks the broker, with a few others at once.
#[derive(Clone)]
struct Reader {
    broker: Arc<dyn Broker>,
    permits: Arc<Semaphore>,
    status: Arc<HubStatus>,
}

impl Reader {
    async fn members(&self, room: &Room) -> Result<RoomMembers, BrokerError> {
        let _permit = self.permits.acquire().await;
        self.broker.members(room.clone()).await
    }

    async fn history(
        &self,
        purpose: ReadFor,
        room: &Room,
        after: Option<Position>,
        limit: usize,
    ) -> Result<HistoryPage, BrokerError> {
        let _permit = self.permits.acquire().await;
        let page = self.broker.history(room.clone(), after, limit).await;
        self.status.count_read(purpose, page.is_ok());
        page
    }
}
