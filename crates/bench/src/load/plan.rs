//! What a run does.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::stamp;

/// Connections that one worker process holds at most: descriptors are limited, and some are needed for publishers,
/// pipes and the epoll instance.
pub const CONNECTIONS_PER_WORKER_MAX: usize = 18_000;

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Where clients connect.
    pub targets: Vec<Target>,
    /// Where publishers of [`PublishBy::Redis`] and [`PublishBy::Function`] connect.
    pub redis: Option<Redis>,
    /// How clients connect.
    pub transport: Transport,
    /// How messages are published.
    pub publish: PublishBy,
    /// When messages are published, or connections made.
    pub mode: Mode,
    /// Clients, all workers together.
    pub connections: usize,
    /// Rooms; client `i` is in room `i % rooms`.
    pub rooms: usize,
    /// Connections that publish.
    pub publishers: usize,
    /// How long is published.
    pub duration: Duration,
    /// Size of each payload.
    pub payload_bytes: usize,
    /// What room names begin with; the number of the room follows.
    pub room_prefix: String,
    /// What stands before a room's name in a Redis channel.
    pub channel_prefix: String,
    /// Processes that hold the clients.
    pub workers: usize,
    /// Handshakes that one worker has under way.
    pub handshakes_max: usize,
    /// Clients that leave, and are replaced by new ones, each second; all workers together.
    pub churn_per_second: f64,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
    /// Stands in each payload, so that messages of another run are not taken for this one's.
    pub run: u32,
}

/// An address and the name to ask it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// The `Host` header.
    pub authority: String,
}

/// A Redis without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redis {
    /// Where to connect.
    pub address: SocketAddr,
    /// User and password.
    pub auth: Option<(String, String)>,
}

/// How clients connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// WebSocket, raw mode.
    WsRaw,
    /// WebSocket, JSON mode.
    WsJson,
    /// Server-Sent Events over HTTP/1.1.
    Sse,
    /// Long-poll.
    Poll,
}

impl Transport {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WsRaw => "ws",
            Self::WsJson => "ws-json",
            Self::Sse => "sse",
            Self::Poll => "poll",
        }
    }
}

/// How messages are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PublishBy {
    /// `PUBLISH` to Redis.
    Redis,
    /// `FCALL roomcast_publish` to Redis: with history.
    Function,
    /// WebSocket in JSON mode.
    WebSocket,
    /// `POST /rooms/{room}/messages`.
    Http,
    /// Ready frames to the floor.
    Floor,
}

impl PublishBy {
    /// As on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Function => "fcall",
            Self::WebSocket => "ws",
            Self::Http => "http",
            Self::Floor => "floor",
        }
    }
}

/// When messages are published, or connections made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Mode {
    /// So many messages a second, all rooms together, whether the server keeps up or not.
    Rate {
        /// Messages a second.
        per_second: f64,
    },
    /// A rate that grows evenly.
    Ramp {
        /// Messages a second at the begin.
        from: f64,
        /// Messages a second at the end.
        to: f64,
    },
    /// So many messages are always under way in each room: the next is published when one has reached all members
    /// that the publisher's own process holds.
    Closed {
        /// Messages under way.
        window: usize,
    },
    /// Nothing is published.
    Idle,
    /// All connect as fast as they can, and leave; again and again.
    Storm {
        /// How often.
        cycles: usize,
    },
}

impl Mode {
    /// Whether anything is published.
    pub fn publishes(self) -> bool {
        !matches!(self, Self::Idle | Self::Storm { .. })
    }

    /// In a few words.
    pub fn describe(self) -> String {
        match self {
            Self::Rate { per_second } => format!("{per_second} messages/s"),
            Self::Ramp { from, to } => format!("{from} to {to} messages/s"),
            Self::Closed { window } => format!("{window} messages always under way in each room"),
            Self::Idle => "idle".to_owned(),
            Self::Storm { cycles } => format!("connect storm, {cycles} times"),
        }
    }
}

/// A numbered sequence of messages from one publisher to one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Its number.
    pub stream: usize,
    /// Its room.
    pub room: usize,
    /// Who publishes it.
    pub publisher: usize,
}

impl Plan {
    /// How many streams there are: each room has one, and each publisher.
    pub fn streams(&self) -> usize {
        if self.mode.publishes() { self.rooms.max(self.publishers) } else { 0 }
    }

    /// One of them.
    pub fn stream(&self, stream: usize) -> Stream {
        Stream { stream, room: stream % self.rooms, publisher: stream % self.publishers }
    }

    /// The streams of a room.
    pub fn streams_of(&self, room: usize) -> impl Iterator<Item = usize> {
        (room..self.streams()).step_by(self.rooms)
    }

    /// Which worker publishes a stream: one that holds a member of its room.
    pub fn publishing_worker(&self, stream: usize) -> usize {
        self.stream(stream).room % self.workers
    }

    /// The numbers of a worker's clients.
    pub fn clients_of(&self, worker: usize) -> impl Iterator<Item = usize> {
        (worker..self.connections).step_by(self.workers)
    }

    /// The name of a room.
    pub fn room_name(&self, room: usize) -> String {
        format!("{}{room}", self.room_prefix)
    }

    /// Where a client, or a publisher, connects: each room is spread over all targets.
    pub fn target(&self, number: usize) -> &Target {
        &self.targets[(number / self.rooms + number % self.rooms) % self.targets.len()]
    }

    /// What is wrong with it, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        let too_few = |what: &str| Err(format!("at least one of {what} is needed"));
        if self.connections == 0 {
            return too_few("--connections");
        }
        if self.rooms == 0 || self.rooms > self.connections {
            return Err(format!("--rooms must be between 1 and the {} connections", self.connections));
        }
        if self.publishers == 0 {
            return too_few("--publishers");
        }
        if self.payload_bytes < stamp::PAYLOAD_BYTES_MIN {
            return Err(format!("--size must be at least {}", stamp::PAYLOAD_BYTES_MIN));
        }
        if self.connections.div_ceil(self.workers.max(1)) > CONNECTIONS_PER_WORKER_MAX {
            return Err(format!(
                "a process holds {CONNECTIONS_PER_WORKER_MAX} connections at most: --workers {} would do",
                self.connections.div_ceil(CONNECTIONS_PER_WORKER_MAX)
            ));
        }
        if matches!(self.publish, PublishBy::Redis | PublishBy::Function) && self.redis.is_none() {
            return Err("to publish through Redis, say which: --redis redis://127.0.0.1:6379".to_owned());
        }
        let rates = match self.mode {
            Mode::Rate { per_second } => vec![per_second],
            Mode::Ramp { from, to } => vec![from, to],
            Mode::Closed { window: 0 } | Mode::Storm { cycles: 0 } => {
                return too_few("--window and --cycles");
            }
            _ => vec![],
        };
        if rates.iter().any(|rate| !rate.is_finite() || *rate < 0.0)
            || rates.iter().sum::<f64>() <= 0.0 && !rates.is_empty()
        {
            return Err("a rate is a number above 0; without messages it is --mode idle".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plan that is good.
    pub(crate) fn plan() -> Plan {
        Plan {
            targets: vec![Target { address: ([127, 0, 0, 1], 80).into(), authority: "a".to_owned() }],
            redis: None,
            transport: Transport::WsRaw,
            publish: PublishBy::WebSocket,
            mode: Mode::Rate { per_second: 10.0 },
            connections: 10,
            rooms: 3,
            publishers: 1,
            duration: Duration::from_secs(1),
            payload_bytes: 128,
            room_prefix: "bench:".to_owned(),
            channel_prefix: "room:".to_owned(),
            workers: 1,
            handshakes_max: 8,
            churn_per_second: 0.0,
            token: None,
            run: 7,
        }
    }

    #[test]
    fn streams_cover_rooms_and_publishers() {
        let few_publishers = Plan { publishers: 2, ..plan() };
        assert_eq!(few_publishers.streams(), 3);
        assert_eq!(few_publishers.stream(2), Stream { stream: 2, room: 2, publisher: 0 });
        let many_publishers = Plan { publishers: 7, ..plan() };
        assert_eq!(many_publishers.streams_of(0).collect::<Vec<_>>(), [0, 3, 6]);
        assert_eq!(many_publishers.streams_of(2).collect::<Vec<_>>(), [2, 5]);
        assert!(many_publishers.streams_of(2).all(|stream| many_publishers.stream(stream).room == 2));
        let two_workers = Plan { workers: 2, ..plan() };
        let all: usize = (0..2).map(|worker| two_workers.clients_of(worker).count()).sum();
        assert_eq!(all, 10);
    }

    #[test]
    fn every_room_is_on_every_target() {
        let target = |port| Target { address: ([127, 0, 0, 1], port).into(), authority: String::new() };
        for rooms in [1, 3, 4, 5] {
            let plan =
                Plan { rooms, connections: rooms * 8, targets: (0..4).map(target).collect(), ..plan() };
            for port in 0..4 {
                let here = |number: &usize| plan.target(*number).address.port() == port;
                for room in 0..rooms {
                    let members = (room..plan.connections).step_by(rooms).filter(here).count();
                    assert_eq!(members, 2, "of room {room} of {rooms} on {port}");
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(plan().check(), Ok(()));
        let wrong = [
            (Plan { rooms: 11, ..plan() }, "--rooms"),
            (Plan { payload_bytes: 3, ..plan() }, "--size"),
            (Plan { connections: 40_000, ..plan() }, "--workers 3"),
            (Plan { publish: PublishBy::Redis, ..plan() }, "--redis"),
            (Plan { mode: Mode::Rate { per_second: 0.0 }, ..plan() }, "--mode idle"),
            (Plan { mode: Mode::Closed { window: 0 }, ..plan() }, "--window"),
        ];
        for (plan, word) in wrong {
            assert!(plan.check().unwrap_err().contains(word), "{word}");
        }
    }
}
