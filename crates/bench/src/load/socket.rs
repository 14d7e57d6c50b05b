//! Non-blocking sockets and the loop that waits for them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt};

pub(super) use rustix::event::epoll::EventFlags as Ready;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 512;

/// Connections that come from one loopback address. The kernel has 28,000 ports to give for each, and closed
/// connections hold theirs for a minute.
const CONNECTIONS_PER_SOURCE: usize = 2_000;

/// Where connection `number` to the loopback address comes from: 127.0.0.2 and on.
fn source(number: usize) -> Ipv4Addr {
    let block = number / CONNECTIONS_PER_SOURCE;
    Ipv4Addr::new(127, 0, (block / 250 % 250) as u8, (block % 250) as u8 + 2)
}

/// Begins to connect; a client, which has a number, to 127.0.0.1 from an address of its block. Publishers are few, and
/// a Redis in protected mode takes nothing else for this machine than 127.0.0.1.
pub(super) fn begin(address: SocketAddr, client: Option<usize>) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if let Some(number) = client
        && address.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST)
    {
        bind(&socket, &SocketAddr::from((source(number), 0)))?;
    }
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

/// What a socket that has become writable for the first time says.
pub(super) fn connected(socket: &OwnedFd) -> io::Result<()> {
    Ok(sockopt::socket_error(socket)??)
}

/// Reads what there is; `None` if there is nothing now, `Some(0)` at the end.
pub(super) fn read(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match rustix::io::read(&socket, &mut *buffer) {
            Ok(len) => return Ok(Some(len)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes what goes now; gives how much that was.
pub(super) fn write(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(&socket, &bytes[written..]) {
            Ok(len) => written += len,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}

/// Tells which sockets are ready.
pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Watches a socket. It is forgotten when it is closed.
    pub(super) fn add(&self, socket: impl AsFd, token: u64, ready: Ready) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(token), ready)?)
    }

    /// Watches it for something else.
    pub(super) fn modify(&self, socket: impl AsFd, token: u64, ready: Ready) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, epoll::EventData::new_u64(token), ready)?)
    }

    /// Waits until something is ready or `timeout_ns` is over; the tokens of what is ready go to `tokens`.
    pub(super) fn wait(&mut self, timeout_ns: u64, tokens: &mut Vec<(u64, Ready)>) -> io::Result<()> {
        let timeout = Timespec {
            tv_sec: (timeout_ns / 1_000_000_000) as i64,
            tv_nsec: (timeout_ns % 1_000_000_000) as _,
        };
        tokens.clear();
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        tokens.extend(self.events.iter().map(|event| ({ event.data }.u64(), { event.flags })));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        assert_eq!(source(0), Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(source(CONNECTIONS_PER_SOURCE), Ipv4Addr::new(127, 0, 0, 3));
        assert_eq!(source(250 * CONNECTIONS_PER_SOURCE), Ipv4Addr::new(127, 0, 1, 2));
        assert!((0..10_000_000).step_by(997).all(|number| source(number).is_loopback()));
    }
}
