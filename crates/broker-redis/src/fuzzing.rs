//! Doors for the fuzz targets: the readers of what Redis sends.

use bytes::Bytes;
use roomcast_broker::{NodeInfo, PresenceEvent};
use roomcast_protocol::{NodeId, Publication, Room};

use crate::channels::{Channel, Channels};
use crate::resp::{Reader, Reply};
use crate::{envelope, presence};

/// The publication in an envelope, if it is one.
pub fn decode_envelope(room: Room, bytes: Bytes) -> Option<Publication> {
    envelope::decode(room, bytes).ok()
}

/// The envelope of a publication.
pub fn encode_envelope(publication: &Publication) -> Vec<u8> {
    envelope::encode(publication)
}

/// What tells about members of a room, if it is that.
pub fn presence_event(room: Room, bytes: Bytes) -> Option<PresenceEvent> {
    presence::event(room, bytes)
}

/// The room of a channel that backends (`false`) or gateways (`true`) publish to, as its name says.
pub fn room_of_channel(prefix: &str, channel: &[u8]) -> Option<(String, bool)> {
    match channels(prefix).classify(channel) {
        Channel::Plain(room) => Some((room.to_owned(), false)),
        Channel::Message(room) => Some((room.to_owned(), true)),
        Channel::Control | Channel::Probe | Channel::Foreign => None,
    }
}

/// The two channels of a room: of backends and of gateways.
pub fn channels_of_room(prefix: &str, room: &Room) -> [String; 2] {
    let channels = channels(prefix);
    [channels.plain(room), channels.message(room)]
}

fn channels(prefix: &str) -> Channels {
    Channels::new(prefix, &NodeInfo { id: NodeId(1), name: "fuzz".to_owned() })
}

/// One thing that Redis said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A message and its channel.
    Message(Bytes, Bytes),
    /// A message on this channel that is too large, and its length in bytes.
    TooLarge(Bytes, usize),
    /// A confirmation for this channel.
    Confirmed(Bytes),
    /// A sign of life.
    Other,
    /// A refusal.
    Error(String),
}

/// The reader of a subscribed connection.
#[derive(Debug, Default)]
pub struct RespReader(Reader);

impl RespReader {
    /// Adds bytes that came from Redis.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.buffer.extend_from_slice(bytes);
    }

    /// Bytes that are not read yet.
    pub fn waiting(&self) -> usize {
        self.0.buffer.len()
    }

    /// The next whole thing; `Err` where the bytes are not RESP2.
    pub fn next_said(&mut self) -> Result<Option<Said>, String> {
        let reply = self.0.next().map_err(|error| error.to_string())?;
        Ok(reply.map(|reply| match reply {
            Reply::Message { channel, payload } => Said::Message(channel, payload),
            Reply::TooLarge { channel, len } => Said::TooLarge(channel, len),
            Reply::Confirmed { channel } => Said::Confirmed(channel),
            Reply::Other => Said::Other,
            Reply::Error(error) => Said::Error(error),
        }))
    }
}
