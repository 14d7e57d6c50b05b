//! The PROXY protocol, versions 1 and 2: a header before everything else, in which a proxy that does
//! not look into the connection says who its client is.

use std::io;
use std::net::IpAddr;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Longest line of version 1, with its end (section 2.1 of the specification).
const V1_BYTES_MAX: usize = 107;
/// The fixed part of version 2 (section 2.2): signature, command, family, length.
const V2_HEAD_BYTES: usize = 16;
/// Longest header of version 2. Addresses take 36 bytes at most, or 216 for Unix sockets; the rest is for
/// what proxies add about TLS.
const V2_BYTES_MAX: usize = 2048;

/// What version 2 begins with. No HTTP request and no TLS record does.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Takes the header off a connection, and nothing behind it. `None` where the proxy speaks for
/// itself, as in its health checks.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut first = [0; V2_SIGNATURE.len()];
    stream.read_exact(&mut first).await?;
    if first == *V2_SIGNATURE { read_v2(stream).await } else { read_v1(stream, &first).await }
}

async fn read_v1(stream: &mut TcpStream, first: &[u8]) -> io::Result<Option<IpAddr>> {
    let mut line = first.to_vec();
    while line.last() != Some(&b'\n') {
        if !line.starts_with(b"PROXY ") || line.len() >= V1_BYTES_MAX {
            return Err(malformed());
        }
        // Looked at before it is taken, so that nothing of what follows is.
        let mut ahead = [0; V1_BYTES_MAX];
        let seen = stream.peek(&mut ahead[..V1_BYTES_MAX - line.len()]).await?;
        let taken = ahead[..seen].iter().position(|byte| *byte == b'\n').map_or(seen, |end| end + 1);
        if taken == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        stream.read_exact(&mut ahead[..taken]).await?;
        line.extend_from_slice(&ahead[..taken]);
    }
    source_v1(&line).ok_or_else(malformed)
}

async fn read_v2(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut header = V2_SIGNATURE.to_vec();
    header.resize(V2_HEAD_BYTES, 0);
    stream.read_exact(&mut header[V2_SIGNATURE.len()..]).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if V2_HEAD_BYTES + rest > V2_BYTES_MAX {
        return Err(malformed());
    }
    header.resize(V2_HEAD_BYTES + rest, 0);
    stream.read_exact(&mut header[V2_HEAD_BYTES..]).await?;
    source_v2(&header).ok_or_else(malformed)
}

/// The client in a whole header; the outer `None` where the header is not one.
fn source_v1(line: &[u8]) -> Option<Option<IpAddr>> {
    // Whatever follows has to be ignored (section 2.1); the parser would look at it.
    let unknown = line.strip_prefix(b"PROXY UNKNOWN").and_then(|rest| rest.strip_suffix(b"\r\n"));
    if unknown.is_some_and(|rest| rest.is_empty() || rest.starts_with(b" ")) {
        return Some(None);
    }
    match v1::Header::try_from(line).ok()?.addresses {
        v1::Addresses::Unknown => Some(None),
        v1::Addresses::Tcp4(addresses) => Some(Some(addresses.source_address.into())),
        v1::Addresses::Tcp6(addresses) => Some(Some(addresses.source_address.into())),
    }
}

fn source_v2(header: &[u8]) -> Option<Option<IpAddr>> {
    let header = v2::Header::try_from(header).ok()?;
    match (header.command, header.addresses) {
        (v2::Command::Local, _) => Some(None),
        (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Some(Some(addresses.source_address.into())),
        (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => Some(Some(addresses.source_address.into())),
        // Nothing that a limit could go by.
        (v2::Command::Proxy, _) => None,
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a PROXY header")
}

#[cfg(test)]
#[path = "proxy_protocol_tests.rs"]
mod tests;
