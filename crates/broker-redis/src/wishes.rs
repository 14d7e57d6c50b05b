//! Which rooms the hub wants, from the hub's threads to the link's task.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use roomcast_protocol::Room;
use tokio::sync::Notify;

/// Changes that the link has not seen yet: the last wish per room. Touched when a room gains its
/// first or loses its last member, never per message. Bounded by the rooms of this node.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    changes: Mutex<HashMap<Room, bool>>,
    changed: Notify,
}

impl Wishes {
    pub(crate) fn set(&self, rooms: &[Room], wanted: bool) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.extend(rooms.iter().map(|room| (room.clone(), wanted)));
        drop(changes);
        self.changed.notify_one();
    }

    /// Waits for changes that nobody has taken.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn take(&self) -> HashMap<Room, bool> {
        std::mem::take(&mut *self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
