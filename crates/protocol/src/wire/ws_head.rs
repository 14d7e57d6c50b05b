//! The head of a frame that a client sends (RFC 6455, section 5.2), read byte by byte if need be.

use crate::limits::CONTROL_BYTES_MAX;
use crate::wire::ws_reader::{ReadError, protocol};

/// What a head says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameHead {
    pub(crate) opcode: Opcode,
    pub(crate) fin: bool,
    /// The frame begins a compressed message (RFC 7692, section 6).
    pub(crate) compressed: bool,
    pub(crate) mask: [u8; 4],
    /// Bytes of payload that are still to come.
    pub(crate) remaining: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// The first bytes with RSV1, and with any of the reserved bits.
const COMPRESSED: u8 = 0x40;
const RESERVED: u8 = 0x70;

/// The bytes of a frame head as they come in; 14 at most.
#[derive(Debug, Default)]
pub(crate) struct HeadReader {
    bytes: [u8; 14],
    len: u8,
}

/// Splits up to `wanted` bytes off the front.
pub(crate) fn take<'a>(input: &mut &'a mut [u8], wanted: usize) -> &'a mut [u8] {
    let all = std::mem::take(input);
    let (part, rest) = all.split_at_mut(wanted.min(all.len()));
    *input = rest;
    part
}

impl HeadReader {
    /// Reads one frame head, over as many calls as it takes. Messages may be compressed if `deflate` was agreed.
    pub(crate) fn read(
        &mut self,
        input: &mut &mut [u8],
        deflate: bool,
    ) -> Result<Option<FrameHead>, ReadError> {
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
                self.check_first_two(deflate)?;
            }
            if needed == self.needed() {
                let head = self.head()?;
                self.len = 0;
                return Ok(Some(head));
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

    fn check_first_two(&self, deflate: bool) -> Result<(), ReadError> {
        let [first, second, ..] = self.bytes;
        let allowed = if deflate { COMPRESSED } else { 0 };
        if first & RESERVED & !allowed != 0 {
            return Err(protocol("reserved bit without an extension that uses it"));
        }
        let opcode = Opcode::new(first & 0xf).ok_or(protocol("unknown opcode"))?;
        if first & COMPRESSED != 0 && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(protocol("only the first frame of a message says that it is compressed"));
        }
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

    fn head(&self) -> Result<FrameHead, ReadError> {
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
        let (fin, compressed) = (bytes[0] & 0x80 != 0, bytes[0] & COMPRESSED != 0);
        Ok(FrameHead { opcode, fin, compressed, mask, remaining })
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

    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}
