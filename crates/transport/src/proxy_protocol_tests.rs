//! Headers of both versions, from one byte at a time to all at once, and what is none.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::*;

/// Reads a header that comes in two parts, and what is left behind it.
async fn read_in_parts(bytes: &[u8], first: usize) -> io::Result<(Option<IpAddr>, Vec<u8>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sender = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut receiver, _) = listener.accept().await.unwrap();
    let send = async {
        sender.write_all(&bytes[..first]).await.unwrap();
        // So that the first part is there alone, at least mostly.
        tokio::time::sleep(Duration::from_millis(1)).await;
        // The receiver may have seen enough to go.
        let _ = sender.write_all(&bytes[first..]).await;
        let _ = sender.shutdown().await;
    };
    let receive = async {
        let source = read(&mut receiver).await?;
        let mut rest = Vec::new();
        receiver.read_to_end(&mut rest).await?;
        Ok((source, rest))
    };
    let (received, ()) = tokio::join!(receive, send);
    received
}

/// A header of version 2 with this command and family.
fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut header = V2_SIGNATURE.to_vec();
    header.extend([0x20 | command, family]);
    header.extend((body.len() as u16).to_be_bytes());
    header.extend(body);
    header
}

fn v2_tcp4(more: &[u8]) -> Vec<u8> {
    v2(1, 0x11, &[&[192, 0, 2, 1, 10, 0, 0, 1, 0x11, 0x22, 0, 80][..], more].concat())
}

#[tokio::test]
async fn headers_are_taken_off_and_nothing_else() {
    let v6 = [&[0x20, 1, 0x0d, 0xb9][..], &[0; 32]].concat();
    let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    // An unknown addition of seven bytes.
    let noted = [&[0xe0, 0, 7][..], b"1234567"].concat();
    let cases: [(Vec<u8>, Option<IpAddr>); 9] = [
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".into(), address("192.0.2.1")),
        (b"PROXY TCP6 2001:db9::1 2001:db8::1 4711 80\r\n".into(), address("2001:db9::1")),
        (b"PROXY UNKNOWN\r\n".into(), None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".into(), None),
        (b"PROXY UNKNOWN a :b \xff c\r\n".into(), None),
        (v2_tcp4(b""), address("192.0.2.1")),
        (v2_tcp4(&noted), address("192.0.2.1")),
        (v2(1, 0x21, &v6), address("2001:db9::")),
        (v2(0, 0, b""), None),
    ];
    for (header, expected) in cases {
        let bytes = [&header, &b"GET / HTTP/1.1\r\n"[..]].concat();
        for first in 0..=bytes.len() {
            let (source, rest) = read_in_parts(&bytes, first).await.unwrap();
            assert_eq!((source, &*rest), (expected, &b"GET / HTTP/1.1\r\n"[..]), "{header:?} in {first}");
        }
    }
}

#[tokio::test]
async fn garbage_is_refused() {
    let endless = [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat();
    let cases: [Vec<u8>; 12] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        b"PROXY\r\n".into(),
        b"PROXY TCP4\r\nmore".into(),
        b"PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n".into(),
        b"PROXY TCP4 192.0.2.999 10.0.0.1 4711 80\r\n".into(),
        b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\n".into(),
        b"PROXY TCP6 192.0.2.1 10.0.0.1 4711 80\r\n".into(),
        endless,
        v2(1, 0x11, &[0; 4]),
        v2(2, 0x11, &[0; 12]),
        v2_tcp4(&[0; V2_BYTES_MAX]),
        V2_SIGNATURE.to_vec(),
    ];
    for bytes in cases {
        assert!(read_in_parts(&bytes, 0).await.is_err(), "{:?}", String::from_utf8_lossy(&bytes));
    }
}
