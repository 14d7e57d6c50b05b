//! What all conversations of one core share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use roomcast_broker::Broker;
use roomcast_hub::stats::{Leave, ShardStats};
use roomcast_hub::trace::Tracer;
use roomcast_hub::{Compression, HubStatus, SHARDS_MAX, Shard};
use roomcast_protocol::{Close, ConnectionId, NodeId};

use crate::auth::{Authenticator, Grants, Identity};
use crate::heartbeat::{Beat, Pulse, Wheel};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::users::UserConnections;

/// What the cores of a node have in common.
#[derive(Clone)]
pub struct CoreShared {
    /// Which node it is.
    pub node: NodeId,
    /// What connects it with the others.
    pub broker: Arc<dyn Broker>,
    /// What is known about the hub.
    pub hub: Arc<HubStatus>,
    /// What the operator has decided.
    pub settings: Arc<ArcSwap<Settings>>,
    /// What checks tokens.
    pub authenticator: Arc<Authenticator>,
    /// How many connections each user has.
    pub users: Arc<UserConnections>,
    /// What follows single publications, if anything does.
    pub tracer: Option<Arc<dyn Tracer>>,
}

impl std::fmt::Debug for CoreShared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CoreShared").field("node", &self.node).finish_non_exhaustive()
    }
}

/// The surroundings of a session, on one core.
pub struct Core {
    index: usize,
    node: NodeId,
    shard: Rc<Shard>,
    broker: Arc<dyn Broker>,
    hub: Arc<HubStatus>,
    settings: Arc<ArcSwap<Settings>>,
    authenticator: Arc<Authenticator>,
    users: Arc<UserConnections>,
    tracer: Option<Arc<dyn Tracer>>,
    /// Who everybody is while everything is open: one for all.
    anybody: Rc<Identity>,
    /// Who everybody is without a token, once keys are configured.
    nobody: Rc<Identity>,
    next_serial: Cell<u64>,
    wheel: RefCell<Wheel>,
    /// If messages may be compressed.
    compression: Option<Compression>,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Core {
    /// The surroundings on core number `index` of a node.
    pub fn new(index: usize, shard: Rc<Shard>, shared: CoreShared) -> Self {
        let CoreShared { node, broker, hub, settings, authenticator, users, tracer } = shared;
        let wheel = RefCell::new(Wheel::new(settings.load().heartbeat));
        let compression = settings.load().deflate.map(|deflate| Compression::new(deflate, shard.stats()));
        let anybody = Rc::new(Identity::anonymous(Grants::everything()));
        let nobody = Rc::new(Identity::anonymous(Grants::nothing()));
        let next_serial = Cell::new(0);
        Self {
            index,
            node,
            shard,
            broker,
            hub,
            settings,
            authenticator,
            users,
            tracer,
            anybody,
            nobody,
            next_serial,
            wheel,
            compression,
        }
    }

    /// Who a client is that has brought this token, or none. Waits, for seconds at most, where the token's key has
    /// to be fetched first.
    pub async fn admit(&self, token: Option<&str>) -> Result<Rc<Identity>, Refusal> {
        if self.authenticator.is_open() {
            return Ok(Rc::clone(&self.anybody));
        }
        let Some(token) = token else { return Ok(Rc::clone(&self.nobody)) };
        Ok(Rc::new(self.authenticator.admit(Some(token), now_s).await?))
    }

    pub(crate) fn nobody(&self) -> &Rc<Identity> {
        &self.nobody
    }

    /// Whether clients need no token.
    pub fn is_open(&self) -> bool {
        self.authenticator.is_open()
    }

    pub(crate) fn tracer(&self) -> Option<&dyn Tracer> {
        self.tracer.as_deref()
    }

    pub(crate) fn users(&self) -> &Arc<UserConnections> {
        &self.users
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// The compressors for clients that agree on compression, if they may.
    pub fn compression(&self) -> Option<&Compression> {
        self.compression.as_ref()
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
        let max_age = self.settings().max_age;
        self.wheel.borrow_mut().tick(now, max_age, |beat| match beat {
            Beat::Aged => self.stats().asked_to_leave(Leave::Age),
            Beat::Pinged | Beat::Closing | Beat::Expired => {}
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

    /// The connection ends at this time, unless that is changed before.
    pub(crate) fn ends(&self, pulse: &Rc<Pulse>, at: Option<Instant>, close: Close) {
        self.wheel.borrow_mut().ends(pulse, at, close);
    }

    /// Whole seconds since the core began.
    pub(crate) fn second(&self) -> u32 {
        self.wheel.borrow().second(Instant::now())
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

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
