//! Real sockets, compared with what send(2) does. They need a kernel that lets us use io_uring.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use proptest::prelude::*;
use socket2::SockRef;

use super::{ENTRIES, Ring};
use std::os::fd::AsFd as _;

fn ring() -> Ring {
    Ring::open().expect("these tests need Linux 6.1 or newer, and nothing that filters io_uring_setup")
}

/// Two ends of a connection, whose buffers take little.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    SockRef::from(&near).set_send_buffer_size(4096).unwrap();
    near.set_nodelay(true).unwrap();
    (near, far)
}

/// What has come so far.
fn received(far: &mut TcpStream) -> Vec<u8> {
    far.set_nonblocking(true).unwrap();
    let mut bytes = Vec::new();
    assert_eq!(far.read_to_end(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
    bytes
}

#[test]
fn each_socket_gets_its_own_bytes() {
    let mut ring = ring();
    // More than the ring has places for.
    let mut connections: Vec<_> = (0..2 * ENTRIES + 7).map(|_| connection()).collect();
    let texts: Vec<_> = (0..connections.len()).map(|n| format!("for number {n}").into_bytes()).collect();
    let mut written = Vec::new();
    for round in 1..4 {
        let writes = connections.iter().zip(&texts).map(|((near, _), text)| (near.as_fd(), &text[..]));
        ring.write(&writes.collect::<Vec<_>>(), &mut written);
        for ((result, text), (_, far)) in written.iter().zip(&texts).zip(&mut connections) {
            assert_eq!(*result.as_ref().unwrap(), text.len(), "round {round}");
            assert_eq!(received(far), *text);
        }
    }
}

#[test]
fn a_socket_that_takes_nothing_does_not_keep_the_others_waiting() {
    let mut ring = ring();
    let (full, _reads_nothing) = connection();
    let (gone, peer) = connection();
    drop(peer);
    let (near, mut far) = connection();
    full.set_nonblocking(true).unwrap();
    while (&full).write(&[0; 4096]).is_ok() {}
    // Also where the socket itself would wait.
    full.set_nonblocking(false).unwrap();

    let mut written = Vec::new();
    ring.write(&[(gone.as_fd(), b"a")], &mut written);
    ring.write(&[(full.as_fd(), b"b"), (gone.as_fd(), b"c"), (near.as_fd(), b"d")], &mut written);
    assert_eq!(written[0].as_ref().unwrap_err().kind(), ErrorKind::WouldBlock);
    let of_gone = written[1].as_ref().unwrap_err().kind();
    assert!(matches!(of_gone, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{of_gone}");
    assert_eq!(*written[2].as_ref().unwrap(), 1);
    assert_eq!(received(&mut far), b"d");
    ring.write(&[], &mut written);
    assert!(written.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same writes to two connections, one of them by send(2): each takes a prefix of what it is given, and the
    /// bytes that arrive are those that were said to be written.
    #[test]
    fn what_is_said_to_be_written_arrives(sizes in proptest::collection::vec(0..40_000_usize, 1..40)) {
        let mut ring = ring();
        let ((near, mut far), (other, mut oracle)) = (connection(), connection());
        other.set_nonblocking(true).unwrap();
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        let mut written = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let bytes: Vec<u8> = (0..*size).map(|at| (at * 7 + index) as u8).collect();
            ring.write(&[(near.as_fd(), &bytes)], &mut written);
            let by_ring = written.pop().unwrap();
            match &by_ring {
                Ok(len) => sent.extend_from_slice(&bytes[..*len]),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            if let Ok(len) = SockRef::from(&other).send(&bytes) {
                expected.extend_from_slice(&bytes[..len]);
            }
            if index % 5 == 4 {
                prop_assert_eq!(&received(&mut far), &sent);
                prop_assert_eq!(&received(&mut oracle), &expected);
                sent.clear();
                expected.clear();
            }
        }
        prop_assert_eq!(received(&mut far), sent);
    }
}
