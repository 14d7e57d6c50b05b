//! What the broker has accepted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fault, FaultKind, Heard, Id, Message, Record};

/// The messages of each room that the broker answered with an id, and those that it may have.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    rooms: BTreeMap<String, Room>,
}

#[derive(Debug, Clone, Default)]
struct Room {
    accepted: BTreeMap<Id, Message>,
    in_doubt: BTreeSet<Message>,
    same_id: Vec<Id>,
}

/// All messages of a room, by id.
pub(super) type Truth = BTreeMap<Id, Message>;

impl Ledger {
    /// The broker has answered a publish with this id.
    pub fn accept(&mut self, room: &str, id: Id, message: Message) {
        let room = self.rooms.entry(room.to_owned()).or_default();
        if room.accepted.insert(id, message).is_some_and(|before| before != message) {
            room.same_id.push(id);
        }
    }

    /// A publish was not answered, or with an error: the message may be in the room or not.
    pub fn doubt(&mut self, room: &str, message: Message) {
        self.rooms.entry(room.to_owned()).or_default().in_doubt.insert(message);
    }

    /// The last id that was accepted in a room.
    pub fn last(&self, room: &str) -> Option<Id> {
        self.rooms.get(room)?.accepted.last_key_value().map(|(id, _)| *id)
    }

    /// The id that a message was accepted with.
    pub fn id_of(&self, room: &str, message: Message) -> Option<Id> {
        let accepted = &self.rooms.get(room)?.accepted;
        accepted.iter().rev().find(|(_, known)| **known == message).map(|(id, _)| *id)
    }

    /// How many messages were accepted.
    pub fn len(&self) -> usize {
        self.rooms.values().map(|room| room.accepted.len()).sum()
    }

    /// Whether nothing was accepted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn rooms(&self) -> impl Iterator<Item = &str> {
        self.rooms.keys().map(String::as_str)
    }

    /// What is in the room: what was accepted, and what was in doubt and reached somebody.
    pub(super) fn truth(&self, name: &str, records: &[Record], faults: &mut Vec<Fault>) -> Truth {
        let Some(room) = self.rooms.get(name) else { return Truth::new() };
        let mut fault = |kind| faults.push(Fault { client: String::new(), room: name.to_owned(), kind });
        room.same_id.iter().for_each(|id| fault(FaultKind::SameId(*id)));
        let mut truth = room.accepted.clone();
        for heard in records.iter().flat_map(|record| record.of(name)) {
            if let Heard::Message { id, message } = heard
                && room.in_doubt.contains(&message)
            {
                truth.entry(id).or_insert(message);
            }
        }
        let mut places: BTreeSet<Message> = BTreeSet::new();
        let mut last: BTreeMap<u32, u32> = BTreeMap::new();
        for (id, message) in &truth {
            if room.in_doubt.contains(message) {
                // It may have been carried out late, after its publisher went on.
                continue;
            }
            if !places.insert(*message) {
                fault(FaultKind::PublishedTwice(*id, *message));
            } else if last.insert(message.publisher, message.number).is_some_and(|last| last > message.number)
            {
                fault(FaultKind::PublisherOrder(*id));
            }
        }
        truth
    }
}
