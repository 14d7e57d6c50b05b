//! WebSocket frames from a server, which are not masked (RFC 6455, section 5.2).

use super::http::Head;
use super::{Broken, Carry, Heard};

/// Reads the answer to a handshake, and the frames behind it.
#[derive(Debug)]
pub struct WsScanner {
    carry: Carry,
    is_json: bool,
    is_upgraded: bool,
}

impl WsScanner {
    /// A reader in raw mode, or in JSON mode.
    pub fn new(is_json: bool) -> Self {
        Self { carry: Carry::default(), is_json, is_upgraded: false }
    }

    /// Takes all of `input`. In raw mode the answer to the handshake opens, in JSON mode the welcome.
    pub fn feed(&mut self, input: &[u8], on: &mut impl FnMut(Heard<'_>)) -> Result<(), Broken> {
        let (is_json, is_upgraded) = (self.is_json, &mut self.is_upgraded);
        self.carry.feed(input, |bytes| {
            let mut at = 0;
            if !*is_upgraded {
                let Some(head) = Head::read(bytes)? else { return Ok(0) };
                if head.status != 101 {
                    on(Heard::Refused(head.status));
                    return Ok(bytes.len());
                }
                *is_upgraded = true;
                at = head.bytes;
                if !is_json {
                    on(Heard::Open);
                }
            }
            while let Some(frame) = Frame::read(&bytes[at..])? {
                at += frame.bytes;
                hear(&frame, is_json, on);
            }
            Ok(at)
        })
    }
}

fn hear(frame: &Frame<'_>, is_json: bool, on: &mut impl FnMut(Heard<'_>)) {
    let payload = frame.payload;
    match frame.first {
        0x81 if is_json => hear_json(payload, on),
        0x81 | 0x82 => on(Heard::Data(payload)),
        0x88 => on(Heard::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code)))),
        0x89 => on(Heard::Ping(payload)),
        _ => {}
    }
}

fn hear_json(payload: &[u8], on: &mut impl FnMut(Heard<'_>)) {
    let kind = payload.strip_prefix(b"{\"type\":\"").unwrap_or_default();
    if kind.starts_with(b"message\"") {
        on(Heard::Data(payload));
    } else if kind.starts_with(b"welcome\"") {
        on(Heard::Open);
    } else if kind.starts_with(b"reset\"") || kind.starts_with(b"dropped\"") {
        on(Heard::Told);
    } else if kind.starts_with(b"ok\"") {
        on(Heard::Answered(true));
    } else if kind.starts_with(b"error\"") {
        on(Heard::Answered(false));
    }
}

struct Frame<'a> {
    /// FIN, reserved bits, opcode.
    first: u8,
    payload: &'a [u8],
    /// Its whole length.
    bytes: usize,
}

impl<'a> Frame<'a> {
    /// The frame that `bytes` begins with; `None` if it is not whole.
    fn read(bytes: &'a [u8]) -> Result<Option<Self>, Broken> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        if second & 0x80 != 0 {
            return Err(Broken("the server masks its frames"));
        }
        if first & 0xf0 != 0x80 {
            return Err(Broken("a fragment or a reserved bit, which nobody asked for"));
        }
        let (len, head): (usize, usize) = match (second, rest) {
            (126, [a, b, ..]) => (usize::from(u16::from_be_bytes([*a, *b])), 4),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize, 10)
            }
            (126 | 127, _) => return Ok(None),
            (short, _) => (usize::from(*short), 2),
        };
        let end = head.checked_add(len).filter(|end| *end <= super::PIECE_BYTES_MAX);
        let end = end.ok_or(Broken("a frame is longer than 8 MiB"))?;
        Ok(bytes.get(head..end).map(|payload| Self { first: *first, payload, bytes: end }))
    }
}
