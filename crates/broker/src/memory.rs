//! The broker of a single node: publications go round inside of the process.
//!
//! It is the default, so that one binary without any other service does the whole job, and it keeps
//! the contract to the letter: publications come back through the same queue as from Redis.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use roomcast_protocol::{Position, Publication, Push, Room};
use tokio::sync::Notify;

use crate::{BoxFuture, Broker, BrokerError, BrokerErrorKind, BrokerEvent, EventSender};

/// Connects a node with itself.
#[derive(Debug)]
pub struct MemoryBroker {
    events: EventSender,
    wishes: Arc<Wishes>,
}

/// Rooms that wait for their confirmation. Bounded by the rooms that have local members.
#[derive(Debug, Default)]
struct Wishes {
    rooms: Mutex<Vec<Room>>,
    changed: Notify,
}

impl MemoryBroker {
    /// The broker, and the future that confirms its subscriptions; it ends when the hub is gone.
    pub fn new(events: EventSender) -> (Self, impl Future<Output = ()> + Send) {
        let wishes = Arc::new(Wishes::default());
        let driver = confirm(Arc::clone(&wishes), events.clone());
        (Self { events, wishes }, driver)
    }

    async fn send(&self, event: BrokerEvent) -> Result<(), BrokerError> {
        self.events
            .send(event)
            .await
            .map_err(|_| BrokerError::new(BrokerErrorKind::Unavailable, "the node is shutting down"))
    }
}

async fn confirm(wishes: Arc<Wishes>, events: EventSender) {
    if events.send(BrokerEvent::Up).await.is_err() {
        return;
    }
    loop {
        wishes.changed.notified().await;
        let rooms = std::mem::take(&mut *wishes.rooms.lock().unwrap_or_else(PoisonError::into_inner));
        if !rooms.is_empty() && events.send(BrokerEvent::Subscribed(rooms)).await.is_err() {
            return;
        }
    }
}

impl Broker for MemoryBroker {
    fn subscribe(&self, rooms: &[Room]) {
        self.wishes.rooms.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(rooms);
        self.wishes.changed.notify_one();
    }

    /// Nothing to do: the hub drops publications of rooms without members, and there is no
    /// other node whose work could be spared.
    fn unsubscribe(&self, _rooms: &[Room]) {}

    fn publish(&self, publication: Publication) -> BoxFuture<'_, Result<Option<Position>, BrokerError>> {
        Box::pin(async move {
            self.send(BrokerEvent::Publication(Arc::new(Push::new(publication)))).await?;
            Ok(None)
        })
    }

    fn probe(&self, token: u64) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(self.send(BrokerEvent::Probe(token)))
    }

    fn reconnects(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Node, suite};

    #[tokio::test]
    async fn conforms() {
        suite(|| async {
            let (sender, events) = crate::event_queue();
            let (broker, driver) = MemoryBroker::new(sender);
            let driver = tokio::spawn(driver);
            vec![Node::new(Arc::new(broker), events, move || driver.abort())]
        })
        .await;
    }
}
