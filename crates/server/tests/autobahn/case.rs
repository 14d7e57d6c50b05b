//! A case: what is sent, in which pieces, and what must come back.

use std::fmt;

use roomcast_bench::Frame;
use roomcast_bench::ws::frame;

/// One case of the suite.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its number in the suite.
    pub(crate) number: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
}

/// One thing that happens, in order.
#[derive(Debug)]
pub(crate) enum Step {
    /// Writes bytes, at most `chop` of them at once.
    Send { bytes: Vec<u8>, chop: usize },
    /// Waits for exactly this frame.
    Receive(Frame),
    /// Exactly this frame comes, but the suite sends on without waiting for it and lets it be
    /// missing when what follows ends the connection. See [`crate::run::Pace`].
    Echo(Frame),
}

/// How the connection ends, after all steps and nothing besides. In each case the server closes the
/// TCP connection.
#[derive(Debug)]
pub(crate) enum End {
    /// The test closes with 1000, and the server answers with 1000.
    Clean,
    /// The steps have sent a close frame; the server answers with this payload.
    Closed(Vec<u8>),
    /// The server ends the connection with this code, for what was sent.
    Failed(u16),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("a close with 1000"),
            Self::Closed(payload) => write!(f, "a close with the bytes {payload:?}"),
            Self::Failed(code) => write!(f, "a close with {code}"),
        }
    }
}

/// How frames are cut into writes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chop {
    /// All of them at once.
    Whole,
    /// Each on its own.
    Frames,
    /// Each byte on its own.
    Octets,
}

/// The three ways in which the suite repeats many of its cases.
pub(crate) const CHOPS: [Chop; 3] = [Chop::Whole, Chop::Frames, Chop::Octets];

impl Case {
    /// A case that, so far, only opens and closes.
    pub(crate) fn new(number: impl Into<String>) -> Self {
        Self { number: number.into(), steps: Vec::new(), end: End::Clean }
    }

    pub(crate) fn send(mut self, chop: Chop, frames: &[Vec<u8>]) -> Self {
        match chop {
            Chop::Whole => self.chopped(frames.concat(), usize::MAX),
            Chop::Octets => self.chopped(frames.concat(), 1),
            Chop::Frames => {
                let each = frames.iter().map(|frame| Step::Send { bytes: frame.clone(), chop: usize::MAX });
                self.steps.extend(each);
                self
            }
        }
    }

    pub(crate) fn chopped(mut self, bytes: Vec<u8>, chop: usize) -> Self {
        self.steps.push(Step::Send { bytes, chop });
        self
    }

    pub(crate) fn receive(mut self, first: u8, payload: impl Into<Vec<u8>>) -> Self {
        self.steps.push(Step::Receive(Frame { first, payload: payload.into() }));
        self
    }

    pub(crate) fn echo(mut self, first: u8, payload: impl Into<Vec<u8>>) -> Self {
        self.steps.push(Step::Echo(Frame { first, payload: payload.into() }));
        self
    }

    pub(crate) fn closed(mut self, payload: &[u8]) -> Self {
        self.end = End::Closed(payload.to_vec());
        self
    }

    pub(crate) fn failed(mut self, code: u16) -> Self {
        self.end = End::Failed(code);
        self
    }

    /// The messages that the server must take, so that the room hears them.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Frame> {
        self.steps.iter().filter_map(|step| match step {
            Step::Receive(frame) | Step::Echo(frame) if [TEXT, BINARY].contains(&frame.first) => Some(frame),
            _ => None,
        })
    }

    /// Whether something is sent after an echo that the suite does not wait for.
    pub(crate) fn goes_on_after_echo(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Echo(_)))
    }
}

/// First bytes of frames: FIN set, no reserved bit.
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8a;
pub(crate) const CONTINUATION: u8 = 0x80;
/// The bit that tells the last frame of a message.
pub(crate) const FIN: u8 = 0x80;

/// The payload of a close frame.
pub(crate) fn close_payload(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

/// A message in fragments.
pub(crate) fn fragments<'a>(first: u8, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut parts = parts.into_iter().peekable();
    let mut opcode = first & !FIN;
    let mut frames = Vec::new();
    while let Some(part) = parts.next() {
        let fin = if parts.peek().is_none() { FIN } else { 0 };
        frames.push(frame(opcode | fin, part));
        opcode = 0;
    }
    frames
}
