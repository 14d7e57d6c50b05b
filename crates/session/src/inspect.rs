//! What an operator may ask of a core: who is where, and to end a connection.

use std::collections::HashMap;
use std::sync::Arc;

use roomcast_protocol::{ConnectionId, Room, WireForm};

use crate::core::Core;

/// One connection, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionReport {
    /// Its id, as the client knows it.
    pub id: ConnectionId,
    /// Whose it is.
    pub user: Option<Arc<str>>,
    /// How it is connected.
    pub form: WireForm,
    /// The rooms that it is in.
    pub rooms: Vec<Room>,
    /// What waits to be written to it, in bytes.
    pub queued_bytes: usize,
}

impl Core {
    /// Rooms of this core whose names begin with `prefix`, and their members on it.
    pub fn rooms(&self, prefix: &str) -> Vec<(Room, usize)> {
        self.shard().member_counts(prefix)
    }

    /// Connections of this core, all or those in one room or of one user; `limit` of them at most.
    pub fn connections(
        &self,
        room: Option<&Room>,
        user: Option<&str>,
        limit: usize,
    ) -> Vec<ConnectionReport> {
        let mut rooms_of: HashMap<ConnectionId, Vec<Room>> = HashMap::new();
        for (room, ids) in self.shard().members() {
            for id in ids {
                rooms_of.entry(id).or_default().push(room.clone());
            }
        }
        let reports = self.everyone().into_iter().map(|pulse| ConnectionReport {
            id: pulse.id(),
            user: pulse.user(),
            form: pulse.form(),
            rooms: rooms_of.remove(&pulse.id()).unwrap_or_default(),
            queued_bytes: pulse.queued_bytes(),
        });
        let wanted = |report: &ConnectionReport| {
            room.is_none_or(|room| report.rooms.contains(room))
                && user.is_none_or(|user| report.user.as_deref() == Some(user))
        };
        reports.collect::<Vec<_>>().into_iter().filter(wanted).take(limit).collect()
    }

    /// Ends a connection with 4410; false if it is not on this core.
    pub fn disconnect(&self, id: ConnectionId) -> bool {
        let found = self.everyone().into_iter().find(|pulse| pulse.id() == id);
        found.inspect(|pulse| pulse.disconnect()).is_some()
    }
}
