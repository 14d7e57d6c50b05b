//! A strict incremental reader of client frames (RFC 6455, sections 5.2 to 5.5).
//!
//! It is a plain value: bytes in, whole messages out, no socket. Everything that a client must not
//! send is refused as soon as its bytes show it, and memory is held only for what has really
//! arrived, while a frame or message is incomplete.

use bytes::Bytes;

use crate::close::may_be_received;
use crate::limits::{CONTROL_BYTES_MAX, EMPTY_FRAGMENTS_MAX};

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A whole text message, checked to be UTF-8.
    Text(Bytes),
    /// A whole binary message.
    Binary(Bytes),
    /// A ping; answer it with the same payload.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong,
    /// A close frame and its code, if it had one. Nothing after it is read.
    Close(Option<u16>),
}

/// What a client did wrong, as the close frame that tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({code})")]
pub struct ReadError {
    /// 1002 protocol error, 1007 not UTF-8 or 1009 too large.
    pub code: u16,
    /// What was wrong.
    pub reason: &'static str,
}

const fn protocol(reason: &'static str) -> ReadError {
    ReadError { code: 1002, reason }
}

const NOT_UTF8: ReadError = ReadError { code: 1007, reason: "text is not UTF-8" };
const TOO_LARGE: ReadError = ReadError { code: 1009, reason: "message is larger than this server takes" };

const TOO_MANY_EMPTY: ReadError = ReadError { code: 1009, reason: "message has too many empty fragments" };

/// The reader of one connection.
#[derive(Debug)]
pub struct FrameReader {
    message_bytes_max: usize,
    head: Head,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The message that is not complete; absent while none is.
    message: Option<Box<Message>>,
    /// Frame heads read since somebody asked.
    frames: u32,
    closed: bool,
}

/// The bytes of a frame head as they come in; 14 at most.
#[derive(Debug, Default)]
struct Head {
    bytes: [u8; 14],
    len: u8,
}

#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    mask: [u8; 4],
    remaining: u64,
    /// The payload so far of a control frame that came in pieces.
    control: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

#[derive(Debug)]
struct Message {
    text: bool,
    data: Vec<u8>,
    /// How much of `data` is known to be whole UTF-8 characters.
    checked: usize,
    empty_fragments: u32,
}

impl FrameReader {
    /// The longest message that it takes, in bytes.
    pub fn message_bytes_max(&self) -> usize {
        self.message_bytes_max
    }

    /// A reader that takes messages of up to `message_bytes_max` bytes, all fragments together.
    pub fn new(message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max,
            head: Head::default(),
            frame: None,
            message: None,
            frames: 0,
            closed: false,
        }
    }

    /// How many frames have begun since the last call: work, also where no message has come of it.
    pub fn take_frames(&mut self) -> u32 {
        std::mem::take(&mut self.frames)
    }

    /// Takes from the front of `input` until there is something whole, and gives that; `None` when
    /// all of `input` is taken. The bytes are unmasked in place. After an error or a close frame the
    /// reader takes whatever comes and gives nothing.
    pub fn read(&mut self, input: &mut &mut [u8]) -> Result<Option<Incoming>, ReadError> {
        let result = self.read_open(input);
        if !matches!(
            result,
            Ok(None | Some(Incoming::Text(_) | Incoming::Binary(_) | Incoming::Ping(_) | Incoming::Pong))
        ) {
            self.closed = true;
            self.message = None;
        }
        result
    }

    fn read_open(&mut self, input: &mut &mut [u8]) -> Result<Option<Incoming>, ReadError> {
        if self.closed {
            take(input, usize::MAX);
            return Ok(None);
        }
        loop {
            let Some(frame) = &mut self.frame else {
                let Some(frame) = self.head.read(input)? else { return Ok(None) };
                self.frames = self.frames.saturating_add(1);
                self.check_order(&frame)?;
                self.frame = Some(frame);
                continue;
            };
            let wanted = usize::try_from(frame.remaining).unwrap_or(usize::MAX);
            let part = take(input, wanted);
            fastwebsockets::unmask(part, frame.mask);
            frame.mask.rotate_left(part.len() % 4);
            frame.remaining -= part.len() as u64;
            let whole = frame.remaining == 0;
            if frame.opcode.is_control() {
                if !whole {
                    frame.control.extend_from_slice(part);
                    return Ok(None);
                }
                let incoming = frame.finish_control(part)?;
                self.frame = None;
                return Ok(Some(incoming));
            }
            let last = whole && frame.fin;
            if whole {
                self.frame = None;
            }
            match self.data(part, last)? {
                Some(incoming) => return Ok(Some(incoming)),
                None if whole => {}
                None => return Ok(None),
            }
        }
    }

    /// What depends on the frames before: whether a message is under way, and its size.
    fn check_order(&mut self, frame: &Frame) -> Result<(), ReadError> {
        if frame.opcode.is_control() {
            return Ok(());
        }
        let so_far = match (&mut self.message, frame.opcode) {
            (None, Opcode::Continuation) => {
                return Err(protocol("continuation without a message to continue"));
            }
            (Some(_), Opcode::Text | Opcode::Binary) => {
                return Err(protocol("new message inside of a fragmented one"));
            }
            (Some(message), _) => {
                message.empty_fragments += u32::from(frame.remaining == 0);
                if message.empty_fragments > EMPTY_FRAGMENTS_MAX {
                    return Err(TOO_MANY_EMPTY);
                }
                message.data.len()
            }
            (None, opcode) => {
                let text = opcode == Opcode::Text;
                let message = Message { text, data: Vec::new(), checked: 0, empty_fragments: 0 };
                self.message = Some(Box::new(message));
                0
            }
        };
        let limit = (self.message_bytes_max - so_far) as u64;
        if frame.remaining > limit { Err(TOO_LARGE) } else { Ok(()) }
    }

    fn data(&mut self, part: &[u8], last: bool) -> Result<Option<Incoming>, ReadError> {
        let message = self.message.as_mut().expect("a data frame has begun a message");
        if last && message.data.is_empty() {
            // The common case: one whole frame at once, no buffer in between.
            if message.text && std::str::from_utf8(part).is_err() {
                return Err(NOT_UTF8);
            }
            let text = message.text;
            self.message = None;
            return Ok(Some(whole(text, Bytes::copy_from_slice(part))));
        }
        message.append(part)?;
        if !last {
            return Ok(None);
        }
        if message.text && message.checked != message.data.len() {
            return Err(NOT_UTF8);
        }
        let message = self.message.take().expect("checked above");
        Ok(Some(whole(message.text, message.data.into())))
    }
}

fn whole(text: bool, data: Bytes) -> Incoming {
    if text { Incoming::Text(data) } else { Incoming::Binary(data) }
}

/// Splits up to `wanted` bytes off the front.
fn take<'a>(input: &mut &'a mut [u8], wanted: usize) -> &'a mut [u8] {
    let all = std::mem::take(input);
    let (part, rest) = all.split_at_mut(wanted.min(all.len()));
    *input = rest;
    part
}

impl Message {
    /// Adds bytes; text is checked as it comes, so that a wrong byte ends the connection at once.
    fn append(&mut self, part: &[u8]) -> Result<(), ReadError> {
        self.data.extend_from_slice(part);
        if !self.text {
            return Ok(());
        }
        match std::str::from_utf8(&self.data[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(NOT_UTF8),
        }
        Ok(())
    }
}

impl Head {
    /// Reads one frame head, over as many calls as it takes.
    fn read(&mut self, input: &mut &mut [u8]) -> Result<Option<Frame>, ReadError> {
        loop {
            let needed = self.needed();
            let missing = needed - usize::from(self.len);
            let part = take(input, missing);
            self.bytes[usize::from(self.len)..][..part.len()].copy_from_slice(part);
            self.len += part.len() as u8;
            if part.len() < missing {
                return Ok(None);
            }
            if needed == 2 {
                self.check_first_two()?;
            }
            if needed == self.needed() {
                let frame = self.frame()?;
                self.len = 0;
                return Ok(Some(frame));
            }
        }
    }

    /// How long the head is, as far as its first bytes tell.
    fn needed(&self) -> usize {
        if self.len < 2 {
            return 2;
        }
        match self.bytes[1] & 0x7f {
            126 => 8,
            127 => 14,
            _ => 6,
        }
    }

    fn check_first_two(&self) -> Result<(), ReadError> {
        let [first, second, ..] = self.bytes;
        if first & 0x70 != 0 {
            return Err(protocol("reserved bit without an extension that uses it"));
        }
        let opcode = Opcode::new(first & 0xf).ok_or(protocol("unknown opcode"))?;
        if second & 0x80 == 0 {
            return Err(protocol("client frame is not masked"));
        }
        if opcode.is_control() {
            if first & 0x80 == 0 {
                return Err(protocol("control frame is fragmented"));
            }
            if usize::from(second & 0x7f) > CONTROL_BYTES_MAX {
                return Err(protocol("control frame is longer than 125 bytes"));
            }
        }
        Ok(())
    }

    fn frame(&self) -> Result<Frame, ReadError> {
        let bytes = &self.bytes;
        let (remaining, mask_at, smallest) = match bytes[1] & 0x7f {
            126 => (u64::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4, 126),
            127 => {
                let mut long = [0; 8];
                long.copy_from_slice(&bytes[2..10]);
                (u64::from_be_bytes(long), 10, 0x1_0000)
            }
            short => (u64::from(short), 2, 0),
        };
        if remaining < smallest {
            return Err(protocol("length is not written in the shortest form"));
        }
        if remaining >> 63 != 0 {
            return Err(protocol("length has its highest bit set"));
        }
        let mut mask = [0; 4];
        mask.copy_from_slice(&bytes[mask_at..mask_at + 4]);
        let opcode = Opcode::new(bytes[0] & 0xf).ok_or(protocol("unknown opcode"))?;
        Ok(Frame { opcode, fin: bytes[0] & 0x80 != 0, mask, remaining, control: Vec::new() })
    }
}

impl Opcode {
    fn new(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl Frame {
    fn finish_control(&mut self, last_part: &[u8]) -> Result<Incoming, ReadError> {
        self.control.extend_from_slice(last_part);
        let payload = std::mem::take(&mut self.control);
        match self.opcode {
            Opcode::Ping => Ok(Incoming::Ping(payload.into())),
            Opcode::Close => close_code(&payload).map(Incoming::Close),
            _ => Ok(Incoming::Pong),
        }
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, ReadError> {
    match payload {
        [] => Ok(None),
        [_] => Err(protocol("close frame with half a code")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !may_be_received(code) {
                return Err(protocol("close code that must not be sent"));
            }
            std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
            Ok(Some(code))
        }
    }
}

#[cfg(test)]
#[path = "ws_reader_tests.rs"]
mod tests;
