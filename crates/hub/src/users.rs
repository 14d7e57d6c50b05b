//! The connections of signed-in users on one core, for those who wish something about a user.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use roomcast_protocol::{Close, ConnectionId, Control, Room};

use crate::outbox::Outbox;
use crate::shard::Shard;

type Connections = HashMap<ConnectionId, Rc<Outbox>>;

/// Outboxes by user and connection.
#[derive(Debug, Default)]
pub(crate) struct Users(RefCell<HashMap<Arc<str>, Connections>>);

/// A connection is known to belong to a user, until this is dropped.
#[derive(Debug)]
pub struct SignedIn {
    shard: Rc<Shard>,
    user: Arc<str>,
    connection: ConnectionId,
}

impl Shard {
    /// Notes that a connection belongs to a user.
    pub fn sign_in(
        self: &Rc<Self>,
        user: &Arc<str>,
        connection: ConnectionId,
        outbox: &Rc<Outbox>,
    ) -> SignedIn {
        let mut users = self.users.0.borrow_mut();
        users.entry(Arc::clone(user)).or_default().insert(connection, Rc::clone(outbox));
        SignedIn { shard: Rc::clone(self), user: Arc::clone(user), connection }
    }

    /// Carries out what is wished about a user.
    pub(crate) fn control(&self, wish: &Control) {
        match wish {
            Control::Disconnect { user } => {
                let users = self.users.0.borrow();
                for outbox in users.get(user).into_iter().flat_map(HashMap::values) {
                    outbox.close(Close::DISCONNECTED);
                }
            }
            Control::Unsubscribe { user, room } => self.unsubscribe_user(user, room),
        }
    }

    fn unsubscribe_user(&self, user: &Arc<str>, room: &Room) {
        let connections: Vec<_> =
            self.users.0.borrow().get(user).into_iter().flatten().map(|c| *c.0).collect();
        for connection in connections {
            self.end_membership(room, connection);
        }
    }
}

impl Drop for SignedIn {
    fn drop(&mut self) {
        let mut users = self.shard.users.0.borrow_mut();
        if let Some(connections) = users.get_mut(&self.user) {
            connections.remove(&self.connection);
            if connections.is_empty() {
                users.remove(&self.user);
            }
        }
    }
}
