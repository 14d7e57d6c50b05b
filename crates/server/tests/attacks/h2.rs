//! HTTP/2 frames (RFC 9113) of a client that does exactly what it is told.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use roomcast_bench::http::connect;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Errors (RFC 9113, section 7).
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// What a connection begins with: the preface and an empty SETTINGS frame.
pub(crate) fn preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, b"")].concat()
}

/// A header block without compression (RFC 7541, section 6.2.2): every field literal, none remembered.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        text(&mut out, name);
        text(&mut out, value);
    }
    out
}

/// A string literal (section 5.2).
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    integer(out, 7, 0, text.len());
    out.extend(text.as_bytes());
}

/// An integer with a prefix of so many bits behind `first` (section 5.1).
pub(crate) fn integer(out: &mut Vec<u8>, bits: u8, first: u8, value: usize) {
    let max = (1 << bits) - 1;
    if value < max {
        return out.push(first | value as u8);
    }
    out.push(first | max as u8);
    let mut rest = value - max;
    while rest >= 128 {
        out.push(128 | (rest % 128) as u8);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// The header block of a request.
pub(crate) fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "127.0.0.1")];
    block(&[&pseudo, more].concat())
}

/// Whether bytes of the server have a frame of this kind.
pub(crate) fn has(mut bytes: &[u8], kind: u8) -> bool {
    while bytes.len() >= 9 {
        if bytes[3] == kind {
            return true;
        }
        let len = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
        bytes = bytes.get(9 + len..).unwrap_or_default();
    }
    false
}

/// What the server says.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection, and how far it is with what it says again and again.
#[derive(Debug)]
pub(crate) struct Client(TcpStream, usize);

impl Client {
    /// Connects and says this first.
    pub(crate) fn start(port: u16, opening: &[u8]) -> Self {
        let mut client = Self(connect(port).unwrap(), 0);
        client.send(opening);
        client
    }

    /// Says this, as far as the server listens.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.try_send(bytes);
    }

    /// Says this; false when the connection is closed.
    #[must_use]
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        match self.0.write_all(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("the server neither reads nor closes")
            }
            result => result.is_ok(),
        }
    }

    /// The next frame; none at the end of the connection.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.read(&mut payload)?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<()> {
        match self.0.read_exact(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the server waits for ever"),
            result => result.ok(),
        }
    }

    /// The body of the answer on a stream.
    pub(crate) fn body(&mut self, stream: u32) -> String {
        let mut body = Vec::new();
        while let Some(frame) = self.frame() {
            if frame.stream != stream {
                continue;
            }
            if frame.kind == DATA {
                body.extend(&frame.payload);
            }
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0
                || frame.kind == RST_STREAM
            {
                break;
            }
        }
        String::from_utf8_lossy(&body).into_owned()
    }

    /// The status of the answer on a stream, where it stands in the block as the encoder of the server writes it: a
    /// field with the name `:status` (RFC 7541, appendix A, index 8). None where there is no answer before the end.
    pub(crate) fn answer_on(&mut self, stream: u32) -> Option<u16> {
        while let Some(frame) = self.frame() {
            if frame.stream == stream && frame.kind == HEADERS {
                return Some(match frame.payload[..] {
                    [0x88, ..] => 200,
                    // 431 in Huffman's code: 011010 011001 00001.
                    [0x48, 0x83, 0x69, 0x90, 0xff, ..] => 431,
                    _ => 0,
                });
            }
        }
        None
    }

    /// Whether any request is answered before the end of the connection.
    pub(crate) fn answers(&mut self) -> bool {
        while let Some(frame) = self.frame() {
            if frame.kind == HEADERS {
                return true;
            }
        }
        false
    }

    /// Reads on to the head of the answer on a stream; false at the end of the connection.
    pub(crate) fn has_head_of(&mut self, stream: u32) -> bool {
        while let Some(frame) = self.frame() {
            if frame.kind == HEADERS && frame.stream == stream {
                return true;
            }
        }
        false
    }

    /// Says as much of this as the server takes now.
    pub(crate) fn send_what_goes(&mut self, frames: &[u8]) {
        self.0.set_nonblocking(true).unwrap();
        let from = std::mem::take(&mut self.1);
        if let Ok(written) = self.0.write(&frames[from..]) {
            self.1 = (from + written) % frames.len();
        } else {
            self.1 = from;
        }
        self.0.set_nonblocking(false).unwrap();
    }

    /// Reads on to the end; the error of the GOAWAY before it, if there was one.
    pub(crate) fn goaway(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.frame() {
            if frame.kind == GOAWAY {
                code = frame
                    .payload
                    .get(4..8)
                    .map(|code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]));
            }
        }
        code
    }
}
