//! The broker of a single node: publications go round inside of the process.
//!
//! It is the default, so that one binary without any other service does the whole job, and it keeps
//! the contract to the letter: publications come back through the same queue as from Redis.

mod presence;
mod stream;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roomcast_protocol::{Control, Position, Publication, Push, Room};
use tokio::sync::{Notify, mpsc};

use crate::{
    BoxFuture, Broker, BrokerError, BrokerErrorKind, BrokerEvent, BrokerStatus, EventSender, HistoryPage,
    NodeInfo, NodeReport, PresenceDelta, RetentionTable, RoomMembers, SharedRetention,
};
use presence::Presence;
use stream::Stream;

/// How often histories that have expired are thrown away.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Most rooms whose history is kept in memory, or remembered: clients may publish to any room.
const STREAMS_MAX: usize = 100_000;

/// Connects a node with itself.
#[derive(Debug)]
pub struct MemoryBroker {
    events: EventSender,
    shared: Arc<Shared>,
    retention: SharedRetention,
    node: NodeInfo,
}

#[derive(Debug, Default)]
struct Shared {
    /// Rooms that wait for their confirmation. Bounded by the rooms that have local members.
    wishes: Mutex<Vec<Room>>,
    /// Told when there is something for the driver to do.
    wished: Notify,
    /// Held while a message is appended and queued, so that both have one order. Touched only for
    /// rooms that keep history, and for publications with a key.
    streams: Mutex<HashMap<Room, Stream>>,
    /// Touched when members come and go.
    presence: Mutex<Presence>,
}

impl Shared {
    fn streams(&self) -> MutexGuard<'_, HashMap<Room, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wishes(&self) -> MutexGuard<'_, Vec<Room>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryBroker {
    /// The broker, and the future that does its background work; it ends when the hub is gone.
    pub fn new(
        node: NodeInfo,
        events: EventSender,
        retention: SharedRetention,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let shared = Arc::<Shared>::default();
        let driver = drive(Arc::clone(&shared), events.clone());
        (Self { events, shared, retention, node }, driver)
    }

    async fn send(&self, event: BrokerEvent) -> Result<(), BrokerError> {
        self.place().await?.send(event);
        Ok(())
    }

    /// A place in the event queue, waited for before anything is locked.
    async fn place(&self) -> Result<mpsc::Permit<'_, BrokerEvent>, BrokerError> {
        self.events
            .reserve()
            .await
            .map_err(|_| BrokerError::new(BrokerErrorKind::Unavailable, "the node is shutting down"))
    }

    /// Appends, remembers and publishes in one step, unless the key was seen before.
    fn append(
        &self,
        mut publication: Publication,
        key: Option<String>,
        place: mpsc::Permit<'_, BrokerEvent>,
    ) -> Result<Option<Position>, BrokerError> {
        let (now, now_ms) = (Instant::now(), now_ms());
        let mut streams = self.shared.streams();
        if streams.len() >= STREAMS_MAX && !streams.contains_key(&publication.room) {
            return Err(BrokerError::new(
                BrokerErrorKind::Unavailable,
                "too many rooms keep history; use Redis",
            ));
        }
        let stream = streams.entry(publication.room.clone()).or_insert_with(|| Stream::new(now_ms));
        if let Some(answer) = key.as_ref().and_then(|key| stream.answered(key, now)) {
            return Ok(answer);
        }
        let retention = self.retention(&publication.room);
        let position = retention.map(|retention| stream.append(&mut publication, retention, now, now_ms));
        if let Some(key) = key {
            stream.remember(key, position, now);
        }
        place.send(BrokerEvent::Publication(Arc::new(Push::new(publication))));
        Ok(position)
    }
}

async fn drive(shared: Arc<Shared>, events: EventSender) {
    if events.send(BrokerEvent::Up).await.is_err() {
        return;
    }
    let mut swept = Instant::now();
    loop {
        let next_leave = shared.presence().locals.next_leave();
        let wait = next_leave.map_or(SWEEP_EVERY, |leave| leave.saturating_duration_since(Instant::now()));
        let _ = tokio::time::timeout(wait.min(SWEEP_EVERY), shared.wished.notified()).await;
        if swept.elapsed() >= SWEEP_EVERY {
            swept = Instant::now();
            shared.streams().retain(|_, stream| !stream.is_over(swept));
        }
        let rooms = std::mem::take(&mut *shared.wishes());
        if !rooms.is_empty() && events.send(BrokerEvent::Subscribed(rooms)).await.is_err() {
            return;
        }
        let changes = shared.presence().turn(Instant::now());
        for change in changes {
            if events.send(BrokerEvent::Presence(change)).await.is_err() {
                return;
            }
        }
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

impl Broker for MemoryBroker {
    fn subscribe(&self, rooms: &[Room]) {
        self.shared.wishes().extend_from_slice(rooms);
        self.shared.wished.notify_one();
    }

    /// Nothing to do: the hub drops publications of rooms without members, and there is no
    /// other node whose work could be spared.
    fn unsubscribe(&self, _rooms: &[Room]) {}

    fn publish(
        &self,
        publication: Publication,
        key: Option<String>,
    ) -> BoxFuture<'_, Result<Option<Position>, BrokerError>> {
        Box::pin(async move {
            let place = self.place().await?;
            if key.is_some() || self.retention(&publication.room).is_some() {
                return self.append(publication, key, place);
            }
            place.send(BrokerEvent::Publication(Arc::new(Push::new(publication))));
            Ok(None)
        })
    }

    fn retentions(&self) -> Arc<RetentionTable> {
        self.retention.load_full()
    }

    fn history(
        &self,
        room: Room,
        after: Option<Position>,
        limit: usize,
    ) -> BoxFuture<'_, Result<HistoryPage, BrokerError>> {
        let page = self.shared.streams().get(&room).map(|stream| stream.page(after, limit, Instant::now()));
        Box::pin(std::future::ready(Ok(page.unwrap_or_default())))
    }

    fn renew(&self, room: Room, seen: Position) -> BoxFuture<'_, Result<(), BrokerError>> {
        if let Some(stream) = self.shared.streams().get_mut(&room) {
            stream.renew(seen, Instant::now());
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn presence(&self, deltas: Vec<PresenceDelta>) {
        self.shared.presence().locals.apply(deltas, Instant::now());
        self.shared.wished.notify_one();
    }

    fn members(&self, room: Room) -> BoxFuture<'_, Result<RoomMembers, BrokerError>> {
        let members = self.shared.presence().members(&room);
        Box::pin(std::future::ready(Ok(members)))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.shared.presence().locals.leave_all();
        self.shared.wished.notify_one();
        Box::pin(std::future::ready(()))
    }

    fn control(&self, wish: Control) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(self.send(BrokerEvent::Control(wish)))
    }

    fn probe(&self, token: u64) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(self.send(BrokerEvent::Probe(token)))
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeInfo>, BrokerError>> {
        Box::pin(std::future::ready(Ok(vec![self.node.clone()])))
    }

    fn report(&self, own: NodeReport) -> BoxFuture<'_, Result<Vec<NodeReport>, BrokerError>> {
        Box::pin(std::future::ready(Ok(vec![own])))
    }

    fn status(&self) -> BrokerStatus {
        BrokerStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Node, node, suite, table};

    #[tokio::test]
    async fn conforms() {
        suite(|| async {
            let (sender, events) = crate::event_queue();
            let (broker, driver) = MemoryBroker::new(node(1), sender, table());
            let driver = tokio::spawn(driver);
            vec![Node::new(Arc::new(broker), events, move || driver.abort())]
        })
        .await;
    }
}
