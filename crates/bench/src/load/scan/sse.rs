//! Server-Sent Events over HTTP/1.1, chunked or until the end of the connection.

use memchr::{memchr, memmem};

use super::http::Head;
use super::{Broken, Carry, Heard};

/// The longest line with the size of a chunk.
const SIZE_BYTES_MAX: usize = 32;

/// Reads a stream of events.
#[derive(Debug, Default)]
pub struct SseScanner {
    head: Carry,
    body: Option<Body>,
    events: Carry,
}

#[derive(Debug)]
enum Body {
    /// As it comes.
    Plain,
    /// In chunks.
    Chunked(Chunks),
}

impl SseScanner {
    /// Takes all of `input`. The event `connected` opens; every event is data.
    pub fn feed(&mut self, input: &[u8], on: &mut impl FnMut(Heard<'_>)) -> Result<(), Broken> {
        let mut input = input;
        let first;
        if self.body.is_none() {
            let Some(rest) = self.read_head(input, on)? else { return Ok(()) };
            first = rest;
            input = &first;
        }
        let events = &mut self.events;
        match self.body.as_mut() {
            Some(Body::Plain) => read_events(events, input, on),
            Some(Body::Chunked(chunks)) => chunks.feed(input, |part| read_events(events, part, on)),
            None => Ok(()),
        }
    }

    /// Gives what follows the head.
    fn read_head(&mut self, input: &[u8], on: &mut impl FnMut(Heard<'_>)) -> Result<Option<Vec<u8>>, Broken> {
        let (body, mut rest) = (&mut self.body, None);
        self.head.feed(input, |bytes| {
            let Some(head) = Head::read(bytes)? else { return Ok(0) };
            if head.status != 200 {
                on(Heard::Refused(head.status));
                return Ok(bytes.len());
            }
            *body = Some(if head.chunked { Body::Chunked(Chunks::default()) } else { Body::Plain });
            rest = Some(bytes[head.bytes..].to_vec());
            Ok(bytes.len())
        })?;
        Ok(rest)
    }
}

fn read_events(carry: &mut Carry, input: &[u8], on: &mut impl FnMut(Heard<'_>)) -> Result<(), Broken> {
    carry.feed(input, |bytes| {
        let mut at = 0;
        while let Some(end) = memmem::find(&bytes[at..], b"\n\n") {
            read_event(&bytes[at..at + end], on);
            at += end + 2;
        }
        Ok(at)
    })
}

fn read_event(event: &[u8], on: &mut impl FnMut(Heard<'_>)) {
    if event.starts_with(b"data: ") {
        return on(Heard::Data(event));
    }
    let mut lines = event.split(|byte| *byte == b'\n');
    match lines.find_map(|line| line.strip_prefix(b"event: ")) {
        Some(b"connected") => on(Heard::Open),
        Some(b"reset" | b"dropped") => on(Heard::Told),
        _ => on(Heard::Data(event)),
    }
}

/// Takes the chunked transfer coding off (RFC 9112, section 7.1), without copying data.
#[derive(Debug, Default)]
struct Chunks {
    /// The line with a size, as far as it has come.
    line: Vec<u8>,
    /// Bytes of the chunk that are to come.
    left: usize,
}

impl Chunks {
    fn feed(
        &mut self,
        mut input: &[u8],
        mut on: impl FnMut(&[u8]) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        while !input.is_empty() {
            if self.left == 0 {
                self.read_size(&mut input)?;
                continue;
            }
            let (part, rest) = input.split_at(self.left.min(input.len()));
            self.left -= part.len();
            input = rest;
            on(part)?;
        }
        Ok(())
    }

    /// Reads to the end of a line; empty ones end a chunk.
    fn read_size(&mut self, input: &mut &[u8]) -> Result<(), Broken> {
        let end = memchr(b'\n', input);
        let (part, rest) = input.split_at(end.map_or(input.len(), |end| end + 1));
        *input = rest;
        self.line.extend_from_slice(part);
        if self.line.len() > SIZE_BYTES_MAX {
            return Err(Broken("the size of a chunk is longer than 32 bytes"));
        }
        if end.is_none() {
            return Ok(());
        }
        let size = self.line.trim_ascii();
        if !size.is_empty() {
            let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            self.left = size.ok_or(Broken("a chunk without a size"))?;
        }
        self.line.clear();
        Ok(())
    }
}
