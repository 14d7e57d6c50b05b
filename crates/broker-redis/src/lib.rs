//! The broker contract on Redis 7.0 or newer (or Valkey), standalone.
//!
//! Two connections, for two reasons:
//!
//! * the **subscription link** ([`link`]) is our own reader and supervisor. It holds the wish list
//!   of rooms through outages of any length, notices silence, and proves by probes that what
//!   is published arrives;
//! * **commands** ([`commands`]) go through clones of one `redis` multiplexed connection, which
//!   pipelines the publications of all threads by itself.
//!
//! Rare questions of operators ([`inspect()`]) use a `deadpool-redis` pool.

mod backoff;
mod channels;
mod commands;
mod config;
mod envelope;
mod files;
mod functions;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod inspect;
mod library;
mod link;
mod nodes;
mod presence;
mod probes;
mod resp;
mod socket;
mod stream;
mod subscriptions;
mod tls;
mod wishes;

use std::future::Future;
use std::sync::Arc;

use redis::{Cmd, Value};
use roomcast_broker::{
    BoxFuture, Broker, BrokerError, BrokerStatus, EventSender, HistoryPage, NodeInfo, NodeReport,
    PresenceDelta, RetentionTable, RoomMembers, SharedRetention,
};
use roomcast_protocol::{Control, NodeId, Position, Publication, Room};

pub use config::{ConfigError, RedisConfig};
pub use inspect::{ServerReport, inspect};
pub use tls::RedisTlsFiles;

use channels::Channels;
use commands::Commands;
use link::Link;
use presence::Presence;
use probes::Probes;
use wishes::Wishes;

/// Connects the nodes of a cluster through Redis.
#[derive(Debug)]
pub struct RedisBroker {
    node: NodeId,
    channels: Arc<Channels>,
    commands: Arc<Commands>,
    wishes: Arc<Wishes>,
    probes: Arc<Probes>,
    presence: Arc<Presence>,
    retention: SharedRetention,
}

impl RedisBroker {
    /// The broker of `node`, and the future that keeps both connections alive. It never gives up and
    /// ends only when the hub's end of `events` is gone.
    pub fn new(
        config: RedisConfig,
        node: &NodeInfo,
        events: EventSender,
        retention: SharedRetention,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let channels = Arc::new(Channels::new(&config.prefix, node));
        let commands = Arc::new(Commands::new(&config, Arc::clone(&retention)));
        let wishes = Arc::new(Wishes::default());
        let probes = Arc::new(Probes::new(config.timeout));
        let presence = Arc::new(Presence::new(node.id, Arc::clone(&channels), Arc::clone(&commands)));
        let link = Link::new(
            config,
            Arc::clone(&channels),
            Arc::clone(&wishes),
            Arc::clone(&probes),
            Arc::clone(&commands),
            events,
        );
        let (supervisor, members) = (Arc::clone(&commands), Arc::clone(&presence));
        let driver = async move {
            tokio::select! {
                () = link.run() => {}
                () = supervisor.supervise() => {}
                () = members.drive() => {}
            }
        };
        (Self { node: node.id, channels, commands, wishes, probes, presence, retention }, driver)
    }
}

impl Broker for RedisBroker {
    fn subscribe(&self, rooms: &[Room]) {
        self.wishes.set(rooms, true);
    }

    fn unsubscribe(&self, rooms: &[Room]) {
        self.wishes.set(rooms, false);
    }

    fn publish(
        &self,
        publication: Publication,
        key: Option<String>,
    ) -> BoxFuture<'_, Result<Option<Position>, BrokerError>> {
        Box::pin(async move {
            let retention = self.retention(&publication.room);
            if retention.is_some() || key.is_some() {
                let generation = self.commands.generation();
                let command =
                    stream::publish(&self.channels, &publication, retention, &generation, key.as_deref());
                return stream::position(&self.commands.run(&command).await?);
            }
            let channel = self.channels.message(&publication.room);
            let mut command = Cmd::with_capacity(3, publication.payload.bytes.len() + 256);
            command.arg("PUBLISH").arg(channel).arg(envelope::encode(&publication));
            self.commands.run(&command).await?;
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
        Box::pin(async move {
            let command = stream::history(&self.channels, &room, after, limit);
            stream::page(&room, self.commands.run(&command).await?)
        })
    }

    fn renew(&self, room: Room, seen: Position) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async move {
            self.commands.run(&stream::renew(&self.channels, &room, seen)).await?;
            Ok(())
        })
    }

    fn presence(&self, deltas: Vec<PresenceDelta>) {
        self.presence.apply(deltas);
    }

    fn members(&self, room: Room) -> BoxFuture<'_, Result<RoomMembers, BrokerError>> {
        Box::pin(async move { self.presence.members(&room).await })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _ = self.commands.run(&nodes::leave(self.node)).await;
            self.presence.close().await;
        })
    }

    fn control(&self, wish: Control) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async move {
            let mut command = Cmd::new();
            command.arg("PUBLISH").arg(channels::CONTROL).arg(wish.to_json());
            self.commands.run(&command).await.map(drop)
        })
    }

    fn probe(&self, token: u64) -> BoxFuture<'_, Result<(), BrokerError>> {
        Box::pin(async move {
            let mut command = Cmd::new();
            command.arg("PUBLISH").arg(self.channels.probe()).arg(token);
            self.commands.run(&command).await?;
            self.probes.sent(token);
            Ok(())
        })
    }

    /// Every node listens to its own probes, so whoever listens is a node that is connected.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeInfo>, BrokerError>> {
        Box::pin(async move {
            let mut command = Cmd::new();
            command.arg("PUBSUB").arg("CHANNELS").arg(Channels::all_probes());
            let Value::Array(channels) = self.commands.run(&command).await? else { return Ok(Vec::new()) };
            let name = |channel: &Value| match channel {
                Value::BulkString(name) => Channels::node_of(std::str::from_utf8(name).ok()?),
                _ => None,
            };
            Ok(channels.iter().filter_map(name).collect())
        })
    }

    fn report(&self, own: NodeReport) -> BoxFuture<'_, Result<Vec<NodeReport>, BrokerError>> {
        Box::pin(async move { nodes::reports(&self.commands.run(&nodes::report(&own)).await?) })
    }

    fn status(&self) -> BrokerStatus {
        BrokerStatus { reconnects: self.probes.reconnects(), ..self.commands.status() }
    }
}
