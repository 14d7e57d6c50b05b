//! An EventSource that reads as the HTML standard says (section 9.2.6), without reconnecting.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::PINGS_ONLY_MAX;
use crate::http::{Response, connect, read_head};
use crate::ws::nothing_but_pings;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its name, `message` by default.
    pub event: String,
    /// Its data.
    pub data: String,
    /// The last id, as the browser would send it.
    pub id: String,
}

/// An open stream.
#[derive(Debug)]
pub struct SseClient {
    stream: BufReader<Dechunked>,
    head: Response,
    last_id: String,
    /// The `retry:` that was last seen, in ms.
    pub retry_ms: Option<u64>,
}

/// Takes the chunked transfer coding off.
#[derive(Debug)]
pub struct Dechunked {
    stream: BufReader<TcpStream>,
    chunked: bool,
    left: usize,
}

impl Dechunked {
    /// The body behind `head`, which was read from `stream`.
    pub fn new(stream: BufReader<TcpStream>, head: &Response) -> Self {
        Self { stream, chunked: head.header("transfer-encoding") == Some("chunked"), left: 0 }
    }
}

impl SseClient {
    /// Opens a stream; `Err` is the server's refusal.
    pub fn connect(port: u16, target: &str, headers: &[(&str, &str)]) -> io::Result<Result<Self, Response>> {
        let mut stream = connect(port)?;
        let mut head =
            format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes())?;
        let mut stream = BufReader::new(stream);
        let head = read_head(&mut stream)?;
        if head.status != 200 {
            return Ok(Err(head));
        }
        let stream = BufReader::new(Dechunked::new(stream, &head));
        Ok(Ok(Self { stream, head, last_id: String::new(), retry_ms: None }))
    }

    /// Opens a stream and reads its first event.
    pub fn open(port: u16, target: &str) -> io::Result<Self> {
        let mut client = Self::connect(port, target, &[])?
            .map_err(|response| io::Error::other(format!("refused with {}", response.status)))?;
        let first = client.event()?;
        assert_eq!(first.event, "connected", "{first:?}");
        Ok(client)
    }

    /// Status and headers.
    pub fn head(&self) -> &Response {
        &self.head
    }

    /// The socket, for what this client has no method for.
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref().stream.get_ref()
    }

    /// The next event; an error at the end of the stream, and where nothing but comments comes for [`PINGS_ONLY_MAX`].
    pub fn event(&mut self) -> io::Result<Event> {
        self.event_within(PINGS_ONLY_MAX)
    }

    fn event_within(&mut self, limit: Duration) -> io::Result<Event> {
        let begin = Instant::now();
        let mut event = Event::default();
        let mut data: Vec<String> = Vec::new();
        loop {
            let line = self.line()?;
            if line.starts_with(':') && begin.elapsed() > limit {
                return Err(nothing_but_pings(limit));
            }
            if line.is_empty() {
                if data.is_empty() {
                    event.event.clear();
                    continue;
                }
                event.data = data.join("\n");
                event.id.clone_from(&self.last_id);
                if event.event.is_empty() {
                    event.event = "message".to_owned();
                }
                return Ok(event);
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => event.event = value.to_owned(),
                "data" => data.push(value.to_owned()),
                "id" if !value.contains('\0') => self.last_id = value.to_owned(),
                "retry" => self.retry_ms = value.parse().ok().or(self.retry_ms),
                _ => {}
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        if self.stream.read_until(b'\n', &mut bytes)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.pop();
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

impl Read for Dechunked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.chunked {
            return self.stream.read(buffer);
        }
        if self.left == 0 {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                // The line end after a chunk, or the end of the connection.
                if line.is_empty() || self.stream.read_line(&mut line)? == 0 {
                    return Ok(0);
                }
            }
            self.left = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let max = buffer.len().min(self.left);
        let len = self.stream.read(&mut buffer[..max])?;
        self.left -= len;
        Ok(len)
    }
}
