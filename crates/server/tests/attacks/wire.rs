//! What attackers do with their sockets.

use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use roomcast_bench::Response;
use roomcast_bench::http::{connect, read_response};

/// How long a trickle goes on at most. Only bounds a failure.
const TRICKLE_LIMIT: Duration = Duration::from_secs(20);

/// Connects, and says this.
pub(crate) fn say(port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = connect(port).unwrap();
    // One that is refused may be closed already.
    let _ = stream.write_all(bytes);
    stream
}

/// Everything that comes until the end; a reset, where the server has not read all, is an end too.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return all,
            Ok(len) => all.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the server waits for ever"),
            Err(_) => return all,
        }
    }
}

/// The answer to what was said; none where the connection was closed without one.
pub(crate) fn answer(stream: &TcpStream) -> Option<Response> {
    read_response(&mut BufReader::new(stream)).ok()
}

/// Sends `bytes` again and again to all, one byte each at a time with a pause, until all are closed; gives what
/// each of them was answered.
pub(crate) fn trickle(streams: &mut [TcpStream], bytes: &[u8], pause: Duration) -> Vec<Vec<u8>> {
    let mut answers: Vec<(Vec<u8>, bool)> = streams.iter().map(|_| (Vec::new(), false)).collect();
    streams.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let begin = Instant::now();
    for byte in bytes.iter().cycle() {
        assert!(begin.elapsed() < TRICKLE_LIMIT, "the server is patient with those who trickle");
        for (stream, (answer, closed)) in streams.iter_mut().zip(&mut answers) {
            let _ = stream.write(&[*byte]);
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer) {
                Ok(0) => *closed = true,
                Ok(len) => answer.extend_from_slice(&buffer[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => *closed = true,
            }
        }
        if answers.iter().all(|(_, closed)| *closed) {
            break;
        }
        std::thread::sleep(pause);
    }
    answers.into_iter().map(|(answer, _)| answer).collect()
}

/// The status codes of all answers in what a server has sent.
pub(crate) fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    let codes = text.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok());
    codes.collect()
}
