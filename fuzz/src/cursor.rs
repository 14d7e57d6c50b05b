//! Ids and cursors that clients bring back: what is read is what would be written, and stays within its bounds.

use std::collections::BTreeMap;

use roomcast_protocol::limits::{CURSOR_BYTES_MAX, CURSOR_ROOMS_MAX};
use roomcast_protocol::{Cursor, Position, Room};

/// A cursor's text; and positions of rooms, from which a cursor is made.
pub fn run(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        text_is_read_as_it_is_written(text);
    }
    every_room_is_found_again(data);
}

fn text_is_read_as_it_is_written(text: &str) {
    let Ok(cursor) = text.parse::<Cursor>() else {
        assert!(text.parse::<Position>().is_err(), "the id of a message is a cursor: {text:?}");
        return;
    };
    let written = cursor.to_string();
    assert_eq!(written.parse(), Ok(cursor.clone()));
    assert!(text.len() <= CURSOR_BYTES_MAX && written.len() <= CURSOR_BYTES_MAX);
    assert!(written.split('_').count() <= CURSOR_ROOMS_MAX);
    // It stands in headers, URLs and `id:` fields as it is, and nothing else is taken for one.
    assert!(text.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b'-' | b'_')), "{text:?}");
    assert!(written.len() <= text.len(), "{text:?} is read as {written:?}");
    if let Ok(position) = text.parse::<Position>() {
        assert_eq!(cursor, Cursor::single(position));
        let next = Position { offset: position.offset.wrapping_add(1), ..position };
        let follows = position.offset != u64::MAX && !position.is_before_everything();
        assert_eq!(position.is_followed_by(next), follows || (next.offset == 0 && position.epoch == 0));
    }
}

/// Seventeen bytes a room: a letter of its name, its epoch and its offset.
fn every_room_is_found_again(data: &[u8]) {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n: u64, b| n << 8 | u64::from(*b));
    let rooms: BTreeMap<Room, Position> = data
        .chunks_exact(17)
        .take(CURSOR_ROOMS_MAX)
        .filter_map(|chunk| {
            let room = Room::parse(&format!("room-{}", chunk[0])).ok()?;
            Some((room, Position { epoch: number(&chunk[1..9]), offset: number(&chunk[9..]) }))
        })
        .collect();
    if rooms.is_empty() {
        return;
    }
    let cursor = Cursor::over(rooms.iter().map(|(room, position)| (room, *position)));
    let read: Cursor = cursor.to_string().parse().expect("a cursor that we wrote");
    assert_eq!(read, cursor);
    for (room, position) in &rooms {
        assert_eq!(read.position_of(room), Some(*position), "{room}");
    }
    let absent = Room::parse("elsewhere").expect("a name");
    assert_eq!(read.position_of(&absent), None);
}
