//! A relay that plants a fault: of all that a server sends through it, one message is dropped, doubled or swapped with
//! the next.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use roomcast_bench::http::read_head;
use roomcast_bench::sse::Dechunked;

/// The message that it happens to: in the middle of what is sent, so that there is something before and behind it.
const PLACE: u32 = 40;

/// What happens to one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    Drop,
    Double,
    Swap,
}

pub(crate) const PLANTS: [Plant; 3] = [Plant::Drop, Plant::Double, Plant::Swap];

/// What passes, and what of it is a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// An event stream to a client.
    Sse,
    /// JSON mode to a client.
    Json,
    /// Redis to a node; publications to rooms are messages.
    Redis,
}

/// Between clients, or a node, and a server. It lives as long as the test.
pub(crate) struct Relay {
    pub(crate) port: u16,
    planted: Arc<AtomicBool>,
}

impl Relay {
    pub(crate) fn start(server: u16, wire: Wire, plant: Plant) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let planted = Arc::new(AtomicBool::new(false));
        let planter = Planter { plant, passed: 0, held: Vec::new(), planted: Arc::clone(&planted) };
        let planter = Arc::new(Mutex::new(planter));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, planter) = (client.unwrap(), Arc::clone(&planter));
                std::thread::spawn(move || connection(&client, server, wire, &planter));
            }
        });
        Self { port, planted }
    }

    /// Whether it has happened.
    pub(crate) fn has_planted(&self) -> bool {
        self.planted.load(Ordering::Relaxed)
    }
}

/// Counts messages over all connections, so that it happens once.
struct Planter {
    plant: Plant,
    passed: u32,
    held: Vec<u8>,
    planted: Arc<AtomicBool>,
}

impl Planter {
    /// What is sent in place of `message`.
    fn pass(&mut self, message: Vec<u8>) -> Vec<u8> {
        self.passed += 1;
        if self.passed < PLACE {
            return message;
        }
        if self.passed > PLACE {
            let held = std::mem::take(&mut self.held);
            return [message, held].concat();
        }
        self.planted.store(true, Ordering::Relaxed);
        match self.plant {
            Plant::Drop => Vec::new(),
            Plant::Double => [&*message, &*message].concat(),
            Plant::Swap => {
                self.held = message;
                Vec::new()
            }
        }
    }
}

fn connection(client: &TcpStream, server: u16, wire: Wire, planter: &Mutex<Planter>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { return };
    for socket in [client, &server] {
        socket.set_nodelay(true).unwrap();
    }
    std::thread::scope(|scope| {
        // What is asked passes as it is. Whoever ends first ends both.
        scope.spawn(|| {
            let _ = io::copy(&mut &*client, &mut &server);
            let _ = server.shutdown(Shutdown::Both);
        });
        let _ = answers(client, &server, wire, planter);
        let _ = client.shutdown(Shutdown::Both);
    });
}

/// Until the server ends.
fn answers(
    mut client: &TcpStream,
    server: &TcpStream,
    wire: Wire,
    planter: &Mutex<Planter>,
) -> io::Result<()> {
    let mut server = BufReader::new(server.try_clone()?);
    if wire == Wire::Sse {
        let head = read_head(&mut server)?;
        // Its end is that of the connection; the client can do without the other headers.
        write!(client, "HTTP/1.1 {} x\r\nContent-Type: text/event-stream\r\n\r\n", head.status)?;
        let mut events = BufReader::new(Dechunked::new(server, &head));
        loop {
            let (event, is_message) = sse_event(&mut events)?;
            client.write_all(&through(event, is_message, planter))?;
        }
    }
    if wire == Wire::Json {
        client.write_all(&until_blank_line(&mut server)?)?;
    }
    loop {
        let (unit, is_message) =
            if wire == Wire::Json { json_frame(&mut server)? } else { redis_value(&mut server)? };
        client.write_all(&through(unit, is_message, planter))?;
    }
}

fn through(unit: Vec<u8>, is_message: bool, planter: &Mutex<Planter>) -> Vec<u8> {
    if is_message { planter.lock().unwrap().pass(unit) } else { unit }
}

fn line(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line)
}

fn until_blank_line(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let line = line(stream)?;
        let is_blank = line.trim_ascii().is_empty();
        all.extend(line);
        if is_blank {
            return Ok(all);
        }
    }
}

/// The gateway's own events have names.
fn sse_event(stream: &mut impl BufRead) -> io::Result<(Vec<u8>, bool)> {
    let event = until_blank_line(stream)?;
    let has = |field: &[u8]| event.split(|byte| *byte == b'\n').any(|line| line.starts_with(field));
    let is_message = has(b"data:") && !has(b"event:");
    Ok((event, is_message))
}

/// One frame; the server's are never masked.
fn json_frame(stream: &mut impl Read) -> io::Result<(Vec<u8>, bool)> {
    let mut frame = bytes(stream, 2)?;
    let extended = match frame[1] {
        126 => bytes(stream, 2)?,
        127 => bytes(stream, 8)?,
        _ => Vec::new(),
    };
    let long = extended.iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
    let len = if extended.is_empty() { usize::from(frame[1]) } else { long };
    let payload = bytes(stream, len)?;
    let is_message = payload.starts_with(br#"{"type":"message""#);
    frame.extend(extended);
    frame.extend(payload);
    Ok((frame, is_message))
}

/// One answer or push of RESP2 or RESP3.
fn redis_value(stream: &mut impl BufRead) -> io::Result<(Vec<u8>, bool)> {
    let value = redis_part(stream)?;
    let is_push = value.starts_with(b"*3\r\n$7\r\nmessage\r\n");
    // Where gateways publish to a room; a node's probes of itself go elsewhere.
    let is_room =
        value.split(|byte| *byte == b'\n').nth(4).is_some_and(|channel| channel.starts_with(b"{room:"));
    Ok((value, is_push && is_room))
}

fn redis_part(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut part = line(stream)?;
    let (kind, number) = (part[0], std::str::from_utf8(&part[1..]).unwrap_or_default().trim_end());
    // What is not there has the length -1.
    let Ok(len) = number.parse::<usize>() else { return Ok(part) };
    let inner = match kind {
        b'*' | b'>' | b'~' => len,
        b'%' => 2 * len,
        _ => 0,
    };
    for _ in 0..inner {
        part.extend(redis_part(stream)?);
    }
    if matches!(kind, b'$' | b'=') {
        part.extend(bytes(stream, len + 2)?);
    }
    Ok(part)
}

fn bytes(stream: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
