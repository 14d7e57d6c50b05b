//! What part of the cluster's connections this node has: every node tells the broker how many it has, and hears the
//! same of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use roomcast_broker::{Broker, NodeReport};
use roomcast_hub::stats::ShardStats;
use roomcast_protocol::NodeId;
use tokio::sync::Notify;
use tracing::debug;

/// How often nodes tell: one small command each. Brokers forget a node after four times that.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// What is known of the nodes.
pub(crate) struct Share {
    node: NodeId,
    shards: Vec<Arc<ShardStats>>,
    broker: Arc<dyn Broker>,
    draining: AtomicBool,
    /// There is something to tell before it is time.
    changed: Notify,
    /// Without this node.
    others: ArcSwap<Vec<NodeReport>>,
}

impl Share {
    pub(crate) fn new(node: NodeId, shards: Vec<Arc<ShardStats>>, broker: Arc<dyn Broker>) -> Self {
        let (draining, changed) = (AtomicBool::new(false), Notify::new());
        Self { node, shards, broker, draining, changed, others: ArcSwap::default() }
    }

    /// Tells and hears for as long as the node lives.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut due = tokio::time::interval(REPORT_EVERY);
        due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = due.tick() => {}
                () = self.changed.notified() => {}
            }
            let reports = self.broker.report(self.own_report()).await.unwrap_or_else(|error| {
                debug!(%error, "what this node has to say of itself was not told");
                Vec::new()
            });
            let others = reports.into_iter().filter(|report| report.id != self.node);
            self.others.store(Arc::new(others.collect()));
        }
    }

    /// The node leaves: the others hear it now.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// Connections of this node.
    pub(crate) fn own(&self) -> u64 {
        let counters = self.shards.iter().flat_map(|shard| &shard.connections);
        counters.fold(0, |sum, counter| sum.wrapping_add(counter.get()))
    }

    fn own_report(&self) -> NodeReport {
        NodeReport {
            id: self.node,
            connections: self.own(),
            draining: self.draining.load(Ordering::Relaxed),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Nodes that are known, this one among them.
    pub(crate) fn nodes(&self) -> usize {
        self.others.load().len() + 1
    }

    /// Connections of all of them.
    pub(crate) fn total(&self) -> u64 {
        self.others.load().iter().fold(self.own(), |sum, other| sum.saturating_add(other.connections))
    }

    /// What one node says of itself, if it has told.
    pub(crate) fn of(&self, node: NodeId) -> Option<NodeReport> {
        if node == self.node {
            return Some(self.own_report());
        }
        self.others.load().iter().find(|other| other.id == node).cloned()
    }

    /// This node's part of all connections, from 0 to 1; an even part while there are none.
    pub(crate) fn share(&self) -> f64 {
        match self.total() {
            0 => 1.0 / self.nodes() as f64,
            total => self.own() as f64 / total as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use roomcast_broker::{MemoryBroker, NodeInfo, event_queue};

    use super::*;

    #[test]
    fn parts_of_the_whole() {
        let (sender, _events) = event_queue();
        let info = NodeInfo { id: NodeId(1), name: "n".to_owned() };
        let (broker, _driver) = MemoryBroker::new(info, sender, Arc::default());
        let shards: Vec<Arc<ShardStats>> = vec![Arc::default(), Arc::default()];
        let share = Share::new(NodeId(1), shards.clone(), Arc::new(broker));
        assert_eq!((share.nodes(), share.total(), share.share()), (1, 0, 1.0));
        let others = [(2, 4), (3, 2)].map(|(id, connections)| NodeReport {
            id: NodeId(id),
            connections,
            draining: id == 3,
            version: "0.0.9".to_owned(),
        });
        share.others.store(Arc::new(others.clone().into()));
        shards.iter().for_each(|shard| shard.connections[0].add(1));
        assert_eq!((share.nodes(), share.total(), share.share()), (3, 8, 0.25));
        assert_eq!((share.of(NodeId(3)), share.of(NodeId(4))), (Some(others[1].clone()), None));
        share.drain();
        let own = share.of(NodeId(1)).unwrap();
        assert_eq!((own.connections, own.draining, &*own.version), (2, true, env!("CARGO_PKG_VERSION")));
    }
}
