//! Headers of the PROXY protocol, read from a real connection however they are cut: what the specification says, and
//! nothing taken that stands behind them.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use roomcast_transport::fuzzing::proxy_header;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::settings;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V1_BYTES_MAX: usize = 107;
const V2_BYTES_MAX: usize = 2048;

/// Only bounds a failure: everything has been sent, so nothing is waited for.
const LIMIT: Duration = Duration::from_secs(5);

/// What a header says, and how long it is.
type Header = (Option<IpAddr>, usize);

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
}

/// One byte for where the bytes are cut in two, then what a proxy sends.
pub fn run(data: &[u8]) {
    let ([cut], bytes) = settings(data);
    let expected = if bytes.starts_with(SIGNATURE) { version_2(bytes) } else { version_1(bytes) };
    for cut in [bytes.len(), usize::from(cut).min(bytes.len())] {
        let read = RUNTIME.with(|runtime| runtime.block_on(async { timeout(LIMIT, read(bytes, cut)).await }));
        let read = read.unwrap_or_else(|_| panic!("waits for what does not come, cut at {cut}"));
        let whole = expected.map(|(source, len)| (source, bytes[len..].to_vec()));
        assert_eq!(read, whole, "cut at {cut}: {:?}", String::from_utf8_lossy(bytes));
    }
}

/// The client and what stands behind the header, if there is one.
async fn read(bytes: &[u8], cut: usize) -> Option<(Option<IpAddr>, Vec<u8>)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut proxy = TcpStream::connect(address).await.expect("a connection");
    let (mut node, _) = listener.accept().await.expect("a connection");
    // So that no port is kept for a minute after each run.
    proxy.set_zero_linger().expect("a socket");
    let send = async {
        proxy.write_all(&bytes[..cut]).await.expect("room in the socket");
        // The reader gets to see the first part alone.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        proxy.write_all(&bytes[cut..]).await.expect("room in the socket");
        proxy.shutdown().await.expect("a socket");
    };
    let (source, ()) = tokio::join!(proxy_header(&mut node), send);
    match source {
        Ok(source) => {
            let mut rest = Vec::new();
            node.read_to_end(&mut rest).await.expect("what is there");
            Some((source, rest))
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof), "{error}");
            None
        }
    }
}

/// Section 2.1: one line of text.
fn version_1(bytes: &[u8]) -> Option<Header> {
    let len = bytes.iter().take(V1_BYTES_MAX).position(|byte| *byte == b'\n')? + 1;
    let line = bytes[..len].strip_suffix(b"\r\n")?.strip_prefix(b"PROXY ")?;
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Some((None, len));
    }
    let words: Vec<&str> = std::str::from_utf8(line).ok()?.split(' ').collect();
    let [family, source, destination, ports @ ..] = &words[..] else { return None };
    let addresses = [source, destination].map(|text| text.parse::<IpAddr>().ok());
    let right = addresses.iter().all(|address| match *family {
        "TCP4" => address.is_some_and(|address| address.is_ipv4()),
        "TCP6" => address.is_some_and(|address| address.is_ipv6()),
        _ => false,
    });
    let ports_right = ports.len() == 2 && ports.iter().all(|port| is_port(port));
    (right && ports_right).then_some((addresses[0], len))
}

/// Without zeros in front.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port.to_string() == text)
}

/// Section 2.2: sixteen bytes, then addresses and additions.
fn version_2(bytes: &[u8]) -> Option<Header> {
    let head = bytes.get(12..16)?;
    let len = 16 + usize::from(u16::from_be_bytes([head[2], head[3]]));
    let body = bytes.get(16..len).filter(|_| len <= V2_BYTES_MAX)?;
    let (command, family, transport) = (head[0], head[1] >> 4, head[1] & 15);
    let address_bytes = [0, 12, 36, 216].get(usize::from(family))?;
    if transport > 2 || body.len() < *address_bytes {
        return None;
    }
    match (command, family) {
        (0x20, _) => Some((None, len)),
        (0x21, 1) => Some((Some(Ipv4Addr::from(<[u8; 4]>::try_from(&body[..4]).ok()?).into()), len)),
        (0x21, 2) => Some((Some(Ipv6Addr::from(<[u8; 16]>::try_from(&body[..16]).ok()?).into()), len)),
        _ => None,
    }
}
