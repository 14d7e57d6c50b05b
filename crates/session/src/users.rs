//! How many connections each signed-in user has on the node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts, shared by all cores; touched when a user signs in and when the connection ends.
#[derive(Debug, Default)]
pub struct UserConnections(Mutex<HashMap<Arc<str>, usize>>);

/// One connection of a user, counted until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    all: Arc<UserConnections>,
    user: Arc<str>,
}

impl UserConnections {
    /// Counts one more, unless the user has `max` already; 0: as many as it likes.
    pub(crate) fn count(self: &Arc<Self>, user: &Arc<str>, max: usize) -> Option<Counted> {
        let mut all = self.lock();
        let count = all.entry(Arc::clone(user)).or_insert(0);
        if max > 0 && *count >= max {
            return None;
        }
        *count += 1;
        Some(Counted { all: Arc::clone(self), user: Arc::clone(user) })
    }

    /// Users with a connection to this node.
    pub fn users(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_so_many_and_no_more() {
        let (all, alice, bob) = (Arc::<UserConnections>::default(), "alice".into(), "bob".into());
        let (one, two) = (all.count(&alice, 2), all.count(&alice, 2));
        assert!(one.is_some() && two.is_some() && all.count(&alice, 2).is_none());
        assert!(all.count(&bob, 2).is_some() && all.count(&alice, 0).is_some());
        drop(one);
        assert!(all.count(&alice, 2).is_some());
        drop(two);
        assert!(all.lock().is_empty());
    }
}
