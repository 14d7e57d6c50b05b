//! Where a message stands in a room that keeps history, and where a stream over many rooms stands.

use std::fmt;
use std::str::FromStr;

use crate::Room;
use crate::limits::{CURSOR_BYTES_MAX, CURSOR_ROOMS_MAX};

/// The id of a message: `<epoch>-<offset>`. Offsets of one epoch are contiguous; a new epoch means
/// that the earlier history is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// When the history began: milliseconds since 1970 at its first message. Below 2^53, so that a
    /// script in the broker can hold it as a number.
    pub epoch: u64,
    /// The message's place in its epoch.
    pub offset: u64,
}

impl Position {
    /// Before the first message of a room that has had none: what a reader has who came first.
    pub const BEFORE_EVERYTHING: Self = Self { epoch: 0, offset: 0 };

    /// Whether this is the place before any message. No epoch begins in 1970.
    pub fn is_before_everything(self) -> bool {
        self.epoch == 0
    }

    /// Whether `next` is the message right after this one.
    pub fn is_followed_by(self, next: Self) -> bool {
        if self.is_before_everything() {
            return next.offset == 0;
        }
        next.epoch == self.epoch && Some(next.offset) == self.offset.checked_add(1)
    }
}

/// A text that is not a position or cursor of ours: a client then starts afresh, told `missed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id or cursor of this service")]
pub struct ForeignCursor;

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

impl FromStr for Position {
    type Err = ForeignCursor;

    fn from_str(text: &str) -> Result<Self, ForeignCursor> {
        let (epoch, offset) = text.split_once('-').ok_or(ForeignCursor)?;
        Ok(Self { epoch: decimal(epoch)?, offset: decimal(offset)? })
    }
}

/// Digits only: `u64::from_str` would also take a leading `+`.
fn decimal(text: &str) -> Result<u64, ForeignCursor> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ForeignCursor);
    }
    text.parse().map_err(|_| ForeignCursor)
}

/// Where a stream stands in each of its rooms. As text it is opaque to clients and safe in a header,
/// a URL and an SSE `id:` field:
///
/// * over one room, the plain id of the last message: `1732190000000-41`;
/// * over several, `<room key>.<epoch>-<offset>` joined by `_`, in the order of the keys. A room key
///   is a 48-bit hash in hexadecimal: the names come with the request, the cursor only has to tell
///   the few rooms of one stream apart, and must stay short enough for a header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor {
    entries: Vec<(Option<RoomKey>, Position)>,
}

/// 48 bits of FNV-1a over the room's name: stable over versions and nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RoomKey(u64);

impl RoomKey {
    fn of(room: &Room) -> Self {
        let hash = room
            .as_str()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Self((hash ^ (hash >> 48)) & 0xffff_ffff_ffff)
    }
}

impl Cursor {
    /// The cursor of a stream over exactly one room.
    pub fn single(position: Position) -> Self {
        Self { entries: vec![(None, position)] }
    }

    /// The cursor of a stream over several rooms.
    ///
    /// Rooms beyond [`CURSOR_ROOMS_MAX`] are left out; a stream never has so many.
    pub fn over<'a>(positions: impl IntoIterator<Item = (&'a Room, Position)>) -> Self {
        let mut entries: Vec<_> = positions
            .into_iter()
            .take(CURSOR_ROOMS_MAX)
            .map(|(room, position)| (Some(RoomKey::of(room)), position))
            .collect();
        entries.sort_unstable();
        Self { entries }
    }

    /// Where the stream stood in `room`. A plain id counts for whichever room it is given for.
    pub fn position_of(&self, room: &Room) -> Option<Position> {
        let key = RoomKey::of(room);
        self.entries.iter().find(|(k, _)| k.is_none_or(|k| k == key)).map(|(_, position)| *position)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, position)) in self.entries.iter().enumerate() {
            if i > 0 {
                f.write_str("_")?;
            }
            match key {
                Some(RoomKey(key)) => write!(f, "{key:012x}.{position}")?,
                None => write!(f, "{position}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = ForeignCursor;

    fn from_str(text: &str) -> Result<Self, ForeignCursor> {
        if text.len() > CURSOR_BYTES_MAX {
            return Err(ForeignCursor);
        }
        if !text.contains('.') {
            return Ok(Self::single(text.parse()?));
        }
        let entries = text.split('_').map(keyed_position).collect::<Result<Vec<_>, _>>()?;
        if entries.len() > CURSOR_ROOMS_MAX {
            return Err(ForeignCursor);
        }
        Ok(Self { entries })
    }
}

fn keyed_position(entry: &str) -> Result<(Option<RoomKey>, Position), ForeignCursor> {
    let (key, position) = entry.split_once('.').ok_or(ForeignCursor)?;
    if key.len() != 12 || !key.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ForeignCursor);
    }
    let key = u64::from_str_radix(key, 16).map_err(|_| ForeignCursor)?;
    Ok((Some(RoomKey(key)), position.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(name: &str) -> Room {
        Room::parse(name).unwrap()
    }

    #[test]
    fn foreign_texts_are_told_apart() {
        for text in ["", "1", "-", "1-", "-1", "+1-2", "1-+2", "1-2-3", "a-b", "99999999999999999999-1"] {
            assert_eq!(text.parse::<Position>(), Err(ForeignCursor), "{text:?}");
            assert_eq!(text.parse::<Cursor>(), Err(ForeignCursor), "{text:?}");
        }
        for text in [".", "_", "abc.1-2", "00000000000g.1-2", "000000000000.1-2_", "+00000000000.1-2"] {
            assert_eq!(text.parse::<Cursor>(), Err(ForeignCursor), "{text:?}");
        }
        assert_eq!("1".repeat(CURSOR_BYTES_MAX + 1).parse::<Cursor>(), Err(ForeignCursor));
    }

    /// Clients put cursors together from ids: the values of `docs/protocol.md` and `clients/javascript/test/wire.test.js`.
    #[test]
    fn the_cursor_of_several_rooms_is_the_documented_one() {
        let at = |epoch, offset| Position { epoch, offset };
        let cursor = Cursor::over([(&room("chat:42"), at(0, 1_700_000_000)), (&room("a"), at(5, 1))]);
        assert_eq!(cursor.to_string(), "ba466480d9fb.0-1700000000_dc4c860143ef.5-1");
        assert_eq!(
            "dc4c860143ef.5-1_ba466480d9fb.0-1700000000".parse::<Cursor>().unwrap().position_of(&room("a")),
            Some(at(5, 1))
        );
    }

    #[test]
    fn the_cursor_of_one_room_is_the_plain_id() {
        let position = Position { epoch: 1_732_190_000_000, offset: 41 };
        let cursor = Cursor::single(position);
        assert_eq!(cursor.to_string(), "1732190000000-41");
        assert_eq!(cursor.position_of(&room("any")), Some(position));
    }

    proptest! {
        #[test]
        fn cursors_round_trip(positions in proptest::collection::btree_map("[a-z:@~]{1,20}", (any::<u64>(), any::<u64>()), 0..20)) {
            let rooms: Vec<_> = positions
                .iter()
                .map(|(name, (epoch, offset))| (room(name), Position { epoch: *epoch, offset: *offset }))
                .collect();
            let cursor = Cursor::over(rooms.iter().map(|(r, p)| (r, *p)));
            if !rooms.is_empty() {
                let read: Cursor = cursor.to_string().parse().unwrap();
                prop_assert_eq!(&read, &cursor);
            }
            for (room, position) in &rooms {
                prop_assert_eq!(cursor.position_of(room), Some(*position));
            }
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<Cursor>();
        }
    }
}
