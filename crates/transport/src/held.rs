//! What a request or a conversation takes up, for as long as it lasts.

use std::sync::Arc;

use crate::acceptor::Place;
use crate::addresses::Counted;

/// A place on a core, and one in the count of the client's address. An extension of requests: a WebSocket
/// outlives the HTTP connection that it came by, and keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    place: Arc<Place>,
    _counted: Option<Arc<Counted>>,
}

impl Held {
    pub(crate) fn new(place: Place, counted: Option<Counted>) -> Self {
        Self { place: Arc::new(place), _counted: counted.map(Arc::new) }
    }

    /// The same place, counted for a client behind a proxy.
    pub(crate) fn counted(&self, counted: Counted) -> Self {
        Self { place: Arc::clone(&self.place), _counted: Some(Arc::new(counted)) }
    }
}
