//! A WebSocket client that does exactly what it is told.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::PINGS_ONLY_MAX;
use crate::http::{Response, connect, read_head, read_response};

/// Any key does: the client does not check the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Masks every frame; any value does.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The first byte: FIN, reserved bits, opcode.
    pub first: u8,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The payload as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The code of a close frame.
    pub fn close_code(&self) -> Option<u16> {
        (self.first == 0x88 && self.payload.len() >= 2)
            .then(|| u16::from_be_bytes([self.payload[0], self.payload[1]]))
    }
}

/// A connection.
#[derive(Debug)]
pub struct WsClient {
    stream: BufReader<TcpStream>,
    /// What the server has agreed to.
    extensions: Option<String>,
}

impl WsClient {
    /// Connects in raw mode.
    pub fn raw(port: u16, target: &str) -> io::Result<Self> {
        Self::connect(port, target, &[])?.map_err(|response| refused(&response))
    }

    /// Connects in JSON mode, and reads the welcome.
    pub fn json(port: u16, target: &str) -> io::Result<Self> {
        let protocol = [("Sec-WebSocket-Protocol", "roomcast.v1")];
        let mut client = Self::connect(port, target, &protocol)?.map_err(|response| refused(&response))?;
        let welcome = client.message()?.text();
        assert!(welcome.contains("\"welcome\""), "{welcome}");
        Ok(client)
    }

    /// Connects with further headers; `Err` is the server's refusal.
    pub fn connect(port: u16, target: &str, headers: &[(&str, &str)]) -> io::Result<Result<Self, Response>> {
        let mut stream = connect(port)?;
        let mut head = format!(
            "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes())?;
        let mut stream = BufReader::new(stream);
        let mut response = read_head(&mut stream)?;
        if response.status == 101 {
            let extensions = response.header("sec-websocket-extensions").map(str::to_owned);
            return Ok(Ok(Self { stream, extensions }));
        }
        let head = format!("HTTP/1.1 {} x\r\n", response.status);
        let len = response.header("content-length").unwrap_or("0").to_owned();
        let rest = format!("{head}content-length: {len}\r\n\r\n");
        response.body = read_response(&mut BufReader::new(rest.as_bytes().chain(&mut stream)))?.body;
        Ok(Err(response))
    }

    /// The extensions that the server has agreed to, as it wrote them.
    pub fn extensions(&self) -> Option<&str> {
        self.extensions.as_deref()
    }

    /// Sends a whole text message.
    pub fn send_text(&mut self, text: &str) -> io::Result<()> {
        self.send_frame(0x81, text.as_bytes())
    }

    /// Sends a whole binary message.
    pub fn send_binary(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.send_frame(0x82, bytes)
    }

    /// Sends one masked frame.
    pub fn send_frame(&mut self, first: u8, payload: &[u8]) -> io::Result<()> {
        self.send_bytes(&frame(first, payload))
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// The next frame of any kind.
    pub fn frame(&mut self) -> io::Result<Frame> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        assert_eq!(head[1] & 0x80, 0, "a server must not mask");
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                self.stream.read_exact(&mut len)?;
                u64::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.stream.read_exact(&mut len)?;
                u64::from_be_bytes(len)
            }
            short => u64::from(short),
        };
        let mut payload = vec![0; len as usize];
        self.stream.read_exact(&mut payload)?;
        Ok(Frame { first: head[0], payload })
    }

    /// The next frame that is not a ping; pings are answered, for [`PINGS_ONLY_MAX`].
    pub fn message(&mut self) -> io::Result<Frame> {
        self.message_within(PINGS_ONLY_MAX)
    }

    fn message_within(&mut self, limit: Duration) -> io::Result<Frame> {
        let begin = Instant::now();
        loop {
            let frame = self.frame()?;
            if frame.first != 0x89 {
                return Ok(frame);
            }
            if begin.elapsed() >= limit {
                return Err(nothing_but_pings(limit));
            }
            self.send_frame(0x8a, &frame.payload)?;
        }
    }

    /// Reads on until the close frame; gives its code.
    pub fn close_code(&mut self) -> io::Result<Option<u16>> {
        loop {
            let frame = self.frame()?;
            if frame.first == 0x88 {
                return Ok(frame.close_code());
            }
        }
    }

    /// The socket, for what this client has no method for.
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }
}

/// Each ping is a sign of life, so that waiting for a message that is missing would never end by itself.
pub(crate) fn nothing_but_pings(limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("the server has sent nothing but pings for {limit:?}"))
}

fn refused(response: &Response) -> io::Error {
    io::Error::other(format!("refused with {}: {}", response.status, response.text()))
}

/// The bytes of one masked frame, its length in the shortest form.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        0..=125 => out.push(0x80 | payload.len() as u8),
        126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((payload.len() as u16).to_be_bytes());
        }
        long => {
            out.push(0x80 | 127);
            out.extend((long as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_message_that_is_missing_is_an_error_although_pings_come() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = BufReader::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let mut client = WsClient { stream, extensions: None };
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(&[0x89, 0]).unwrap();
        let error = client.message_within(Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        server.write_all(&[0x89, 0, 0x81, 0]).unwrap();
        assert_eq!(client.message().unwrap().text(), "");
    }
}
