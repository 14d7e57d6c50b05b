//! The floor: the cheapest server that can be, as a yardstick. One loop of epoll and write(2), which sends the bytes
//! that a publisher brings ready to every member of a room. It keeps nothing, checks nothing, and speaks of
//! WebSocket and SSE only as much as the clients here need to believe it.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use memchr::memmem;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::socket::{self, Poller, Ready};

/// What a publisher sends first.
pub(super) const PUBLISHER_GREETING: &[u8] = b"FLOOR\r\n\r\n";

/// Rooms are numbers below this.
const ROOMS_MAX: u32 = 1_000_000;
/// The longest publication.
const PUBLICATION_BYTES_MAX: usize = 1024 * 1024;
/// The longest head of a request.
const HEAD_BYTES_MAX: usize = 16 * 1024;

const LISTENER: u64 = u64::MAX;
/// The end of standard input ends the floor.
const INPUT: u64 = u64::MAX - 1;

/// A publication on its way to the floor: the room's number, the length, the bytes for every member.
pub(super) fn write_publication(room: u32, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(room.to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The publication that `bytes` begins with, and its length with its head; `None` if it is not whole.
fn read_publication(bytes: &[u8]) -> io::Result<Option<(u32, &[u8], usize)>> {
    let Some((head, rest)) = bytes.split_first_chunk::<8>() else { return Ok(None) };
    let [a, b, c, d, e, f, g, h] = *head;
    let length = u32::from_le_bytes([e, f, g, h]) as usize;
    if length > PUBLICATION_BYTES_MAX {
        return Err(io::Error::other("a publication is longer than 1 MiB"));
    }
    let room = u32::from_le_bytes([a, b, c, d]);
    Ok(rest.get(..length).map(|bytes| (room, bytes, 8 + length)))
}

/// Serves until standard input ends; prints `listening on PORT` first. With `merges`, messages of one room that came
/// with one read are written at once: the floor of a closed loop, where a server never has just one to write.
pub fn serve(merges: bool) -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    // Where that is refused, connections fail, and the report says why.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    rustix::net::listen(&listener, 4096)?;
    println!("listening on {}", listener.local_addr()?.port());
    io::stdout().flush()?;
    let stdin = io::stdin();
    let mut floor =
        Floor { poller: Poller::new()?, connections: HashMap::new(), rooms: Vec::new(), next: 0, merges };
    floor.poller.add(&listener, LISTENER, Ready::IN)?;
    floor.poller.add(&stdin, INPUT, Ready::IN)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut tokens = Vec::new();
    loop {
        floor.poller.wait(1_000_000_000, &mut tokens)?;
        for (token, _) in &tokens {
            match *token {
                INPUT => return Ok(()),
                LISTENER => floor.accept(&listener)?,
                token => floor.ready(token, &mut buffer),
            }
        }
    }
}

struct Floor {
    poller: Poller,
    connections: HashMap<u64, Connection>,
    /// By number of the room: its members. The sockets of clients are here, next to each other.
    rooms: Vec<Vec<(u64, OwnedFd)>>,
    next: u64,
    merges: bool,
}

/// One that has not said what it is, a publisher, or a member.
enum Connection {
    New { socket: OwnedFd, head: Vec<u8> },
    Publisher { socket: OwnedFd, rest: Vec<u8> },
    Member { room: u32 },
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let stream: TcpStream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            self.next += 1;
            self.poller.add(&stream, self.next, Ready::IN)?;
            self.connections.insert(self.next, Connection::New { socket: stream.into(), head: Vec::new() });
        }
    }

    fn ready(&mut self, token: u64, buffer: &mut [u8]) {
        let Some(connection) = self.connections.remove(&token) else { return };
        let kept = match connection {
            Connection::New { socket, head } => self.greet(token, socket, head, buffer),
            Connection::Publisher { socket, rest } => self.publish(socket, rest, buffer),
            Connection::Member { room } => self.hear(token, room, buffer),
        };
        // Whoever breaks the rules, or has gone, is forgotten.
        if let Ok(Some(connection)) = kept {
            self.connections.insert(token, connection);
        }
    }

    /// Reads the head of a request.
    fn greet(
        &mut self,
        token: u64,
        socket: OwnedFd,
        mut head: Vec<u8>,
        buffer: &mut [u8],
    ) -> io::Result<Option<Connection>> {
        match socket::read(&socket, buffer)? {
            None => {}
            Some(0) => return Ok(None),
            Some(len) => head.extend_from_slice(&buffer[..len]),
        }
        let Some(end) = memmem::find(&head, b"\r\n\r\n") else {
            return Ok((head.len() < HEAD_BYTES_MAX).then_some(Connection::New { socket, head }));
        };
        if head.starts_with(PUBLISHER_GREETING) {
            let rest = head.split_off(end + 4);
            return self.deliver(rest).map(|rest| Some(Connection::Publisher { socket, rest }));
        }
        let text = String::from_utf8_lossy(&head[..end]).into_owned();
        let Some(room) = room_number(&text) else { return Ok(None) };
        let members = room as usize + 1;
        if self.rooms.len() < members {
            self.rooms.resize_with(members, Vec::new);
        }
        write_all(&socket, greeting(&text).as_slice())?;
        self.rooms[room as usize].push((token, socket));
        Ok(Some(Connection::Member { room }))
    }

    fn publish(
        &mut self,
        socket: OwnedFd,
        mut rest: Vec<u8>,
        buffer: &mut [u8],
    ) -> io::Result<Option<Connection>> {
        match socket::read(&socket, buffer)? {
            None => {}
            Some(0) => return Ok(None),
            Some(len) => rest.extend_from_slice(&buffer[..len]),
        }
        self.deliver(rest).map(|rest| Some(Connection::Publisher { socket, rest }))
    }

    /// Writes what is whole to everyone; gives what is not.
    fn deliver(&self, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let (mut at, mut joined) = (0, Vec::new());
        while let Some((room, publication, length)) = read_publication(&bytes[at..])? {
            at += length;
            let mut whole = publication;
            if self.merges {
                joined.clear();
                joined.extend_from_slice(publication);
                while let Some((next_room, next, length)) = read_publication(&bytes[at..])?
                    && next_room == room
                {
                    joined.extend_from_slice(next);
                    at += length;
                }
                whole = &joined;
            }
            for (_, member) in self.rooms.get(room as usize).into_iter().flatten() {
                // One that has gone is noticed when it is read.
                let _ = write_all(member, whole);
            }
        }
        bytes.drain(..at);
        Ok(bytes)
    }

    /// Members say nothing of interest, until they go.
    fn hear(&mut self, token: u64, room: u32, buffer: &mut [u8]) -> io::Result<Option<Connection>> {
        let members = &mut self.rooms[room as usize];
        let Some(place) = members.iter().position(|(member, _)| *member == token) else { return Ok(None) };
        if matches!(socket::read(&members[place].1, buffer), Ok(None | Some(1..))) {
            return Ok(Some(Connection::Member { room }));
        }
        members.swap_remove(place);
        Ok(None)
    }
}

/// Writes everything, and waits where the peer does not read: the floor drops nothing.
fn write_all(socket: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    loop {
        bytes = &bytes[socket::write(socket, bytes)?..];
        if bytes.is_empty() {
            return Ok(());
        }
        poll(&mut [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)], None)?;
    }
}

/// The number that the room's name ends with.
fn room_number(head: &str) -> Option<u32> {
    let (_, rest) = head.lines().next()?.split_once("room=")?;
    let name = rest.split(['&', ' ']).next()?;
    let digits = name.len() - name.bytes().rev().take_while(u8::is_ascii_digit).count();
    name[digits..].parse().ok().filter(|room| *room < ROOMS_MAX)
}

/// What makes a client of the transport believe that it is a member.
fn greeting(head: &str) -> Vec<u8> {
    if head.starts_with("GET /sse") {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        return format!("{head}event: connected\ndata: {{}}\n\n").into_bytes();
    }
    let mut greeting =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec();
    if head.contains("roomcast.v1") {
        let welcome = b"{\"type\":\"welcome\"}";
        greeting.extend([0x81, welcome.len() as u8]);
        greeting.extend_from_slice(welcome);
    }
    greeting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publications_in_pieces() {
        let mut bytes = Vec::new();
        write_publication(7, b"hello", &mut bytes);
        write_publication(8, b"", &mut bytes);
        for end in 0..13 {
            assert_eq!(read_publication(&bytes[..end]).unwrap(), None);
        }
        assert_eq!(read_publication(&bytes).unwrap(), Some((7, &b"hello"[..], 13)));
        assert_eq!(read_publication(&bytes[13..]).unwrap(), Some((8, &b""[..], 8)));
        assert!(read_publication(&[0xff; 8]).is_err());
    }

    #[test]
    fn rooms() {
        assert_eq!(room_number("GET /ws?room=bench:12 HTTP/1.1\r\nHost: a1"), Some(12));
        assert_eq!(room_number("GET /sse?room=bench:0&x=1 HTTP/1.1"), Some(0));
        assert_eq!(room_number("GET /ws?room=bench: HTTP/1.1"), None);
        assert_eq!(room_number("GET /ws?room=bench:9999999 HTTP/1.1"), None);
        assert_eq!(room_number("GET / HTTP/1.1"), None);
    }
}
