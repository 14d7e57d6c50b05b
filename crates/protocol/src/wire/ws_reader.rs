//! A strict incremental reader of client frames (RFC 6455, sections 5.2 to 5.5; RFC 7692, section 6).
//!
//! It is a plain value: bytes in, whole messages out, no socket. Everything that a client must not
//! send is refused as soon as its bytes show it, and memory is held only for what has really
//! arrived, while a frame or message is incomplete.

use bytes::Bytes;

use crate::Close;
use crate::close::may_be_received;
use crate::limits::EMPTY_FRAGMENTS_MAX;
use crate::wire::deflate::compressed_bytes_max;
use crate::wire::ws_head::{FrameHead, HeadReader, Opcode, take};

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A whole text message, checked to be UTF-8.
    Text(Bytes),
    /// A whole binary message.
    Binary(Bytes),
    /// A whole message as it was compressed, for a [`crate::wire::deflate::Inflater`]. That is left to whoever takes the
    /// message, so that of many that come at once one is held inflated at a time.
    Compressed {
        /// Whether it has to be UTF-8.
        text: bool,
        /// What its frames carried.
        payload: Bytes,
    },
    /// A ping; answer it with the same payload.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong,
    /// A close frame: its code and reason, if it had a code. Nothing after it is read.
    Close(Option<Close>),
}

/// What a client did wrong, as the close frame that tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({code})")]
pub struct ReadError {
    /// 1002 protocol error, 1007 not UTF-8 or not DEFLATE, 1009 too large.
    pub code: u16,
    /// What was wrong.
    pub reason: &'static str,
}

pub(crate) const fn protocol(reason: &'static str) -> ReadError {
    ReadError { code: 1002, reason }
}

pub(crate) const NOT_UTF8: ReadError = ReadError { code: 1007, reason: "text is not UTF-8" };
pub(crate) const TOO_LARGE: ReadError =
    ReadError { code: 1009, reason: "message is larger than this server takes" };

const TOO_MANY_EMPTY: ReadError = ReadError { code: 1009, reason: "message has too many empty fragments" };

/// The reader of one connection.
#[derive(Debug)]
pub struct FrameReader {
    message_bytes_max: usize,
    /// Messages may be compressed.
    deflate: bool,
    head: HeadReader,
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The message that is not complete; absent while none is.
    message: Option<Box<Message>>,
    /// Frame heads read since somebody asked.
    frames: u32,
    closed: bool,
}

/// The frame whose payload is being read.
#[derive(Debug)]
struct Frame {
    head: FrameHead,
    /// The payload so far of a control frame that came in pieces.
    control: Vec<u8>,
}

#[derive(Debug)]
struct Message {
    text: bool,
    compressed: bool,
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
            deflate: false,
            head: HeadReader::default(),
            frame: None,
            message: None,
            frames: 0,
            closed: false,
        }
    }

    /// The same for a client with whom compression was agreed.
    pub fn with_deflate(self) -> Self {
        Self { deflate: true, ..self }
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
        if matches!(result, Err(_) | Ok(Some(Incoming::Close(_)))) {
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
                let Some(head) = self.head.read(input, self.deflate)? else { return Ok(None) };
                self.frames = self.frames.saturating_add(1);
                self.check_order(&head)?;
                self.frame = Some(Frame { head, control: Vec::new() });
                continue;
            };
            let head = &mut frame.head;
            let wanted = usize::try_from(head.remaining).unwrap_or(usize::MAX);
            let part = take(input, wanted);
            fastwebsockets::unmask(part, head.mask);
            head.mask.rotate_left(part.len() % 4);
            head.remaining -= part.len() as u64;
            let whole = head.remaining == 0;
            if head.opcode.is_control() {
                if !whole {
                    frame.control.extend_from_slice(part);
                    return Ok(None);
                }
                let incoming = frame.finish_control(part)?;
                self.frame = None;
                return Ok(Some(incoming));
            }
            let last = whole && head.fin;
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
    fn check_order(&mut self, head: &FrameHead) -> Result<(), ReadError> {
        if head.opcode.is_control() {
            return Ok(());
        }
        let (so_far, compressed) = match (&mut self.message, head.opcode) {
            (None, Opcode::Continuation) => {
                return Err(protocol("continuation without a message to continue"));
            }
            (Some(_), Opcode::Text | Opcode::Binary) => {
                return Err(protocol("new message inside of a fragmented one"));
            }
            (Some(message), _) => {
                message.empty_fragments += u32::from(head.remaining == 0);
                if message.empty_fragments > EMPTY_FRAGMENTS_MAX {
                    return Err(TOO_MANY_EMPTY);
                }
                (message.data.len(), message.compressed)
            }
            (None, opcode) => {
                let (text, compressed) = (opcode == Opcode::Text, head.compressed);
                let message = Message { text, compressed, data: Vec::new(), checked: 0, empty_fragments: 0 };
                self.message = Some(Box::new(message));
                (0, compressed)
            }
        };
        let bytes_max = self.message_bytes_max;
        let bytes_max = if compressed { compressed_bytes_max(bytes_max) } else { bytes_max };
        if head.remaining > (bytes_max - so_far) as u64 { Err(TOO_LARGE) } else { Ok(()) }
    }

    fn data(&mut self, part: &[u8], last: bool) -> Result<Option<Incoming>, ReadError> {
        let message = self.message.as_mut().expect("a data frame has begun a message");
        if last && message.data.is_empty() {
            // The common case: one whole frame at once, no buffer in between.
            if message.is_plain_text() && std::str::from_utf8(part).is_err() {
                return Err(NOT_UTF8);
            }
            let whole = message.whole(Bytes::copy_from_slice(part));
            self.message = None;
            return Ok(Some(whole));
        }
        message.append(part)?;
        if !last {
            return Ok(None);
        }
        if message.is_plain_text() && message.checked != message.data.len() {
            return Err(NOT_UTF8);
        }
        let data = std::mem::take(&mut message.data);
        let whole = message.whole(data.into());
        self.message = None;
        Ok(Some(whole))
    }
}

impl Message {
    fn is_plain_text(&self) -> bool {
        self.text && !self.compressed
    }

    fn whole(&self, data: Bytes) -> Incoming {
        match self.text {
            text if self.compressed => Incoming::Compressed { text, payload: data },
            true => Incoming::Text(data),
            false => Incoming::Binary(data),
        }
    }

    /// Adds bytes; text is checked as it comes, so that a wrong byte ends the connection at once.
    fn append(&mut self, part: &[u8]) -> Result<(), ReadError> {
        self.data.extend_from_slice(part);
        if !self.is_plain_text() {
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

impl Frame {
    fn finish_control(&mut self, last_part: &[u8]) -> Result<Incoming, ReadError> {
        self.control.extend_from_slice(last_part);
        let payload = std::mem::take(&mut self.control);
        match self.head.opcode {
            Opcode::Ping => Ok(Incoming::Ping(payload.into())),
            Opcode::Close => close(&payload).map(Incoming::Close),
            _ => Ok(Incoming::Pong),
        }
    }
}

fn close(payload: &[u8]) -> Result<Option<Close>, ReadError> {
    match payload {
        [] => Ok(None),
        [_] => Err(protocol("close frame with half a code")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !may_be_received(code) {
                return Err(protocol("close code that must not be sent"));
            }
            let reason = std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
            Ok(Some(Close::new(code, reason.to_owned())))
        }
    }
}

#[cfg(test)]
#[path = "ws_reader_tests.rs"]
mod tests;
