//! Where an SSE stream over several rooms stands. It goes out as the `id:` of each event, so that the browser sends
//! it back when it reconnects, to whichever node.

use std::cell::RefCell;

use bytes::Bytes;
use roomcast_protocol::{Cursor, Position, Room};

/// The positions of one stream.
#[derive(Debug, Default)]
pub struct StreamCursor(RefCell<Vec<(Room, Position)>>);

impl StreamCursor {
    /// The stream has everything of `room` up to `position`.
    pub fn advance(&self, room: &Room, position: Position) {
        let mut rooms = self.0.borrow_mut();
        match rooms.iter_mut().find(|(known, _)| known == room) {
            Some((_, known)) => *known = position,
            None => rooms.push((room.clone(), position)),
        }
    }

    /// The cursor over all rooms, if any of them keeps history.
    pub fn cursor(&self) -> Option<Cursor> {
        let rooms = self.0.borrow();
        (!rooms.is_empty()).then(|| Cursor::over(rooms.iter().map(|(room, position)| (room, *position))))
    }

    /// The `id:` field of the next event.
    pub(crate) fn field(&self) -> Option<Bytes> {
        self.cursor().map(|cursor| format!("id: {cursor}\n").into())
    }
}
