//! Names of rooms: the same set by another definition, and the same room on every way that a name travels.

use hyper::Uri;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use roomcast_broker_redis::fuzzing::{channels_of_room, room_of_channel};
use roomcast_protocol::Room;
use roomcast_transport::fuzzing::{query, room_in_path};

const ALLOWED: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:@~";
const PREFIX: &str = "room:";

/// A name.
pub fn run(data: &[u8]) {
    raw_paths_and_queries_give_valid_names(data);
    let Some((kind, ..)) = room_of_channel(PREFIX, data) else {
        return check_name(data);
    };
    assert!(kind.len() < data.len());
    check_name(data);
}

fn check_name(data: &[u8]) {
    let allowed = (1..=200).contains(&data.len()) && data.iter().all(|b| ALLOWED.contains(b));
    let room = std::str::from_utf8(data).ok().and_then(|name| Room::parse(name).ok());
    assert_eq!(room.is_some(), allowed);
    let encoded = percent_encode(data, NON_ALPHANUMERIC);
    let path = format!("/rooms/{encoded}/messages");
    let in_path = room_in_path(&path).ok().flatten().map(|(room, _)| room);
    assert_eq!(in_path, room, "{path}");
    if data.len() < 1000 {
        let uri: Uri = format!("/sse?room={encoded}&after=1-2").parse().expect("a URL");
        let rooms = query(&uri).ok().map(|(rooms, _)| rooms);
        assert_eq!(rooms, room.clone().map(|room| vec![room]), "{uri}");
    }
    if let Some(room) = room {
        check_room(&room);
    }
}

fn check_room(room: &Room) {
    let name = room.as_str();
    assert_eq!(room.namespace(), name.find(':').map(|colon| &name[..colon]));
    assert_eq!(room.owner(), name.strip_prefix('@'));
    let [plain, message] = channels_of_room(PREFIX, room);
    assert_eq!(room_of_channel(PREFIX, plain.as_bytes()), Some((name.to_owned(), false)));
    assert_eq!(room_of_channel(PREFIX, message.as_bytes()), Some((name.to_owned(), true)));
    // Both in one slot of a Redis Cluster: a hash tag is the whole name, or absent.
    assert_eq!((message.find('{'), message.find('}')), (Some(0), Some(plain.len() + 1)));
    assert_eq!(&message[1..=plain.len()], plain);
}

/// The bytes as they are, where a client puts a name without encoding it.
fn raw_paths_and_queries_give_valid_names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(Some((room, resource))) = room_in_path(text) {
        assert_eq!(Room::parse(room.as_str()), Ok(room));
        assert!(["messages", "history", "presence"].contains(&resource));
    }
    let Ok(uri) = text.parse::<Uri>() else { return };
    match query(&uri) {
        Ok((rooms, _)) => {
            for (i, room) in rooms.iter().enumerate() {
                assert_eq!(Room::parse(room.as_str()).as_ref(), Ok(room));
                assert!(!rooms[..i].contains(room), "each once");
            }
        }
        Err(status) => assert_eq!(status, 400),
    }
}
