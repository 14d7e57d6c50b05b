//! What all conversations of one core share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use roomcast_broker::Broker;
use roomcast_hub::stats::ShardStats;
use roomcast_hub::{HubStatus, SHARDS_MAX, Shard};
use roomcast_protocol::{ConnectionId, NodeId};

use crate::heartbeat::{Beat, Pulse, Wheel};
use crate::settings::Settings;

/// The surroundings of a session, on one core.
pub struct Core {
    index: usize,
    node: NodeId,
    shard: Rc<Shard>,
    broker: Arc<dyn Broker>,
    hub: Arc<HubStatus>,
    settings: Arc<ArcSwap<Settings>>,
    next_serial: Cell<u64>,
    wheel: RefCell<Wheel>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Core {
    /// The surroundings on core number `index` of `node`.
    pub fn new(
        index: usize,
        node: NodeId,
        shard: Rc<Shard>,
        broker: Arc<dyn Broker>,
        hub: Arc<HubStatus>,
        settings: Arc<ArcSwap<Settings>>,
    ) -> Self {
        let wheel = RefCell::new(Wheel::new(settings.load().heartbeat));
        Self { index, node, shard, broker, hub, settings, next_serial: Cell::new(0), wheel }
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Whether messages can get through at all.
    pub fn is_broker_up(&self) -> bool {
        self.hub.is_broker_up()
    }

    /// What this core counts.
    pub fn stats(&self) -> &Arc<ShardStats> {
        self.shard.stats()
    }

    /// Does what is due about once a second, until the core ends: heartbeats, and rooms that have
    /// been empty for a while.
    pub async fn keep_time(self: Rc<Self>) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            second.tick().await;
            self.tick(Instant::now());
        }
    }

    fn tick(&self, now: Instant) {
        self.wheel.borrow_mut().tick(|beat| match beat {
            Beat::Pinged | Beat::Closing => {}
            Beat::Silent => self.stats().silent_peers.add(1),
            Beat::Slow => self.stats().slow_consumers.add(1),
        });
        self.shard.sweep(now);
    }

    /// Ends every conversation at once: the node stops now.
    pub fn stop(&self) {
        for pulse in self.wheel.borrow().everyone() {
            pulse.stop();
        }
    }

    pub(crate) fn shard(&self) -> &Rc<Shard> {
        &self.shard
    }

    pub(crate) fn broker(&self) -> &dyn Broker {
        &*self.broker
    }

    pub(crate) fn everyone(&self) -> Vec<Rc<Pulse>> {
        self.wheel.borrow().everyone()
    }

    pub(crate) fn register(&self, pulse: &Rc<Pulse>) {
        self.wheel.borrow_mut().add(pulse);
    }

    /// A number that no other connection of the node has: cores count in steps of their maximum.
    pub(crate) fn next_id(&self) -> ConnectionId {
        let count = self.next_serial.get();
        self.next_serial.set(count + 1);
        // From 1, because a connection of all zeros means none on the wire.
        ConnectionId { node: self.node, serial: 1 + count * SHARDS_MAX as u64 + self.index as u64 }
    }
}
