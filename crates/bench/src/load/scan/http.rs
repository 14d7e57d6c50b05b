//! HTTP/1.1 answers: a head, and bodies with a length.

use memchr::memmem;

use super::{Broken, Carry};

/// The longest head; a server that sends more is broken.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) chunked: bool,
    pub(super) content_length: Option<usize>,
    /// Its own length, with the empty line.
    pub(super) bytes: usize,
}

impl Head {
    /// The head that `input` begins with; `None` if it is not whole.
    pub(super) fn read(input: &[u8]) -> Result<Option<Self>, Broken> {
        let Some(end) = memmem::find(input, b"\r\n\r\n") else {
            if input.len() > HEAD_BYTES_MAX {
                return Err(Broken("the head of an answer is longer than 16 KiB"));
            }
            return Ok(None);
        };
        let text =
            std::str::from_utf8(&input[..end]).map_err(|_| Broken("the head of an answer is not text"))?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status = status.ok_or(Broken("this is not HTTP/1.1"))?;
        let mut head = Self { status, chunked: false, content_length: None, bytes: end + 4 };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                head.content_length = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.chunked = value.trim().eq_ignore_ascii_case("chunked");
            }
        }
        Ok(Some(head))
    }
}

/// A whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: &'a [u8],
}

/// One answer after the other on a connection that is kept.
#[derive(Debug, Default)]
pub struct Answers {
    carry: Carry,
}

impl Answers {
    /// Takes all of `input`.
    pub fn feed(&mut self, input: &[u8], on: &mut impl FnMut(Answer<'_>)) -> Result<(), Broken> {
        self.carry.feed(input, |bytes| {
            let mut at = 0;
            while let Some(head) = Head::read(&bytes[at..])? {
                if head.chunked {
                    return Err(Broken("an answer is chunked where it should have a length"));
                }
                let body_at = at + head.bytes;
                let length = head.content_length.unwrap_or(0);
                if bytes.len() - body_at < length {
                    break;
                }
                at = body_at + length;
                on(Answer { status: head.status, body: &bytes[body_at..at] });
            }
            Ok(at)
        })
    }
}
