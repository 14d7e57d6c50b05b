//! Whether this node does its job: proven by messages that go the whole way, not by connections
//! that look alive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use roomcast_broker::Broker;
use roomcast_hub::HubStatus;
use roomcast_hub::stats::ShardStats;
use tracing::debug;

/// How often a probe is sent.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// How old the last probe that came round may be. Several probes may be lost before a node is
/// taken out of rotation; a failover takes longer than that.
const PROBE_AGE_MAX: Duration = Duration::from_secs(4);

/// The health of the node.
#[derive(Debug)]
pub(crate) struct Health {
    started: Instant,
    /// When whoever is left is cut, once the node drains.
    drain_deadline: OnceLock<SystemTime>,
    /// What was last read of the configuration is in use.
    configured: AtomicBool,
    hub: Arc<HubStatus>,
    shards: Vec<Arc<ShardStats>>,
}

/// Why the node is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotReady {
    Draining,
    BrokerDown,
    /// Connected, and yet what is published does not reach this core.
    NotDelivering {
        core: usize,
    },
}

impl NotReady {
    pub(crate) fn explain(self) -> String {
        match self {
            Self::Draining => "draining: this node is shutting down".to_owned(),
            Self::BrokerDown => "the connection to the broker is down".to_owned(),
            Self::NotDelivering { core } => {
                format!("no probe has come round to core {core} for {} seconds", PROBE_AGE_MAX.as_secs())
            }
        }
    }
}

impl Health {
    pub(crate) fn new(started: Instant, hub: Arc<HubStatus>, shards: Vec<Arc<ShardStats>>) -> Self {
        let configured = AtomicBool::new(true);
        Self { started, drain_deadline: OnceLock::new(), configured, hub, shards }
    }

    /// From now on the node is not ready; at `deadline` whoever is left is cut.
    pub(crate) fn drain(&self, deadline: SystemTime) {
        // The first word counts.
        let _ = self.drain_deadline.set(deadline);
    }

    /// Until when clients may leave, in seconds since 1970; none while the node does not drain.
    pub(crate) fn drain_deadline_s(&self) -> Option<f64> {
        let deadline = self.drain_deadline.get()?;
        Some(deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64())
    }

    /// The configuration was read again, and is in use or not.
    pub(crate) fn reloaded(&self, well: bool) {
        self.configured.store(well, Ordering::Relaxed);
    }

    /// Whether what was last read of the configuration is in use.
    pub(crate) fn is_configured(&self) -> bool {
        self.configured.load(Ordering::Relaxed)
    }

    /// How long ago the probe was sent that last came round to every core; since the start if none has.
    pub(crate) fn probe_age(&self) -> Duration {
        let oldest_ms = self.shards.iter().map(|shard| shard.probe_sent_ms.get()).min().unwrap_or(0);
        self.started.elapsed().saturating_sub(Duration::from_millis(oldest_ms))
    }

    /// How long the node has been there.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether new clients should come here.
    pub(crate) fn ready(&self) -> Result<(), NotReady> {
        self.ready_at(self.started.elapsed())
    }

    fn ready_at(&self, now: Duration) -> Result<(), NotReady> {
        if self.drain_deadline.get().is_some() {
            return Err(NotReady::Draining);
        }
        self.link_at(now)
    }

    /// Whether messages go through the broker to every core, also while the node drains.
    pub(crate) fn link(&self) -> Result<(), NotReady> {
        self.link_at(self.started.elapsed())
    }

    fn link_at(&self, now: Duration) -> Result<(), NotReady> {
        if !self.hub.is_broker_up() {
            return Err(NotReady::BrokerDown);
        }
        let late = self.shards.iter().position(|shard| {
            let sent = shard.probe_sent_ms.get();
            // 0: none has ever come.
            sent == 0 || now.saturating_sub(Duration::from_millis(sent)) > PROBE_AGE_MAX
        });
        late.map_or(Ok(()), |core| Err(NotReady::NotDelivering { core }))
    }

    /// Sends probes for as long as the node lives. A probe's token is the time it was sent.
    pub(crate) async fn probe(self: Arc<Self>, broker: Arc<dyn Broker>) {
        let mut due = tokio::time::interval(PROBE_EVERY);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            let sent_ms = self.started.elapsed().as_millis().max(1) as u64;
            if let Err(error) = broker.probe(sent_ms).await {
                debug!(%error, "the probe was not sent");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roomcast_broker::{BrokerEvent, MemoryBroker, event_queue};
    use roomcast_hub::{Router, queues};

    #[tokio::test]
    async fn ready_is_proven_by_probes_to_every_core() {
        let (sender, events) = event_queue();
        let node = roomcast_broker::NodeInfo { id: roomcast_protocol::NodeId(1), name: "n".to_owned() };
        let (broker, _driver) = MemoryBroker::new(node, sender.clone(), Arc::default());
        let broker: Arc<dyn Broker> = Arc::new(broker);
        let hub = Arc::new(HubStatus::default());
        let (router_queues, _shards) = queues(2);
        let router = Router::new(Arc::clone(&broker), events, router_queues, Arc::clone(&hub));
        let shards: Vec<Arc<ShardStats>> = vec![Arc::default(), Arc::default()];
        let health = Health::new(Instant::now(), Arc::clone(&hub), shards.clone());
        let at = |ms| health.ready_at(Duration::from_millis(ms));

        assert_eq!(at(0), Err(NotReady::BrokerDown));
        sender.send(BrokerEvent::Up).await.unwrap();
        let routing = tokio::spawn(router.run());
        while !hub.is_broker_up() {
            tokio::task::yield_now().await;
        }
        assert_eq!(at(0), Err(NotReady::NotDelivering { core: 0 }));
        shards[0].probe_sent_ms.set(1000);
        assert_eq!(at(1000), Err(NotReady::NotDelivering { core: 1 }));
        shards[1].probe_sent_ms.set(1000);
        assert_eq!(at(5000), Ok(()));
        assert_eq!(at(5001), Err(NotReady::NotDelivering { core: 0 }));
        shards.iter().for_each(|shard| shard.probe_sent_ms.set(5001));
        assert_eq!(at(5001), Ok(()));
        assert_eq!(health.drain_deadline_s(), None);
        health.drain(UNIX_EPOCH + Duration::from_secs(7));
        assert_eq!(health.drain_deadline_s(), Some(7.0));
        assert_eq!(at(5001), Err(NotReady::Draining));
        assert_eq!(health.link_at(Duration::from_millis(5001)), Ok(()), "the broker is well all the same");
        routing.abort();
    }
}
