//! What may stand in one place of an outbox.

use std::rc::Rc;

use bytes::Bytes;

use crate::outbox::{ENTRY_COST_BYTES, Entry};
use crate::overflow::Lane;

/// One place in the queue.
#[derive(Debug)]
pub(crate) enum Slot {
    /// For this client alone.
    Reply(Bytes),
    Shared(Shared),
}

/// What is the same for other members, or for nobody. Apart from replies, so that a slot stays as small as an [`Entry`].
#[derive(Debug)]
pub(crate) enum Shared {
    Message(Rc<Bytes>),
    /// A message that may be dropped.
    Droppable(Rc<Bytes>, Rc<Lane>),
    /// The `id:` field of the droppable message in the next slot, and dropped with it.
    Field(Rc<Bytes>),
    /// Tells, when its turn comes, how many messages were dropped. It costs nothing: there is one for each room of
    /// the connection at most.
    Gap(Rc<Lane>, u64),
    Vacant,
}

const _: () = assert!(size_of::<Slot>() == size_of::<Entry>() && size_of::<Slot>() <= ENTRY_COST_BYTES);

impl Slot {
    pub(crate) const VACANT: Self = Self::Shared(Shared::Vacant);

    #[inline]
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Reply(bytes) => Some(bytes),
            Self::Shared(Shared::Message(bytes) | Shared::Droppable(bytes, _) | Shared::Field(bytes)) => {
                Some(bytes)
            }
            Self::Shared(Shared::Gap(..) | Shared::Vacant) => None,
        }
    }

    /// The same as an entry, where that is what it is.
    pub(crate) fn entry(&self) -> Option<Entry> {
        match self {
            Self::Reply(bytes) => Some(Entry::Reply(bytes.clone())),
            Self::Shared(Shared::Message(bytes) | Shared::Droppable(bytes, _)) => {
                Some(Entry::Message(Rc::clone(bytes)))
            }
            Self::Shared(_) => None,
        }
    }

    pub(crate) fn cost(&self) -> usize {
        self.bytes().map_or(0, cost)
    }

    pub(crate) fn lane(&self) -> Option<&Rc<Lane>> {
        match self {
            Self::Shared(Shared::Droppable(_, lane)) => Some(lane),
            _ => None,
        }
    }

    pub(crate) fn is_message(&self) -> bool {
        matches!(self, Self::Shared(Shared::Message(_) | Shared::Droppable(..)))
    }

    pub(crate) fn is_latest(&self) -> bool {
        self.lane().is_some_and(|lane| lane.is_latest())
    }

    pub(crate) fn is_field(&self) -> bool {
        matches!(self, Self::Shared(Shared::Field(_)))
    }

    pub(crate) fn is_vacant(&self) -> bool {
        matches!(self, Self::Shared(Shared::Vacant))
    }

    pub(crate) fn is_gap(&self) -> bool {
        matches!(self, Self::Shared(Shared::Gap(..)))
    }
}

/// How much was written whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) entries: u64,
    /// Those of them that are messages of rooms.
    pub(crate) messages: u64,
}

/// What bytes are reckoned to cost.
pub(crate) fn cost(bytes: &Bytes) -> usize {
    bytes.len() + ENTRY_COST_BYTES
}
