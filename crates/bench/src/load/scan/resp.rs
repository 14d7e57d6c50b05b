//! Answers of Redis (RESP2), as far as publishing needs: whether each is an error.

use memchr::memchr;

use super::{Broken, Carry};

/// Reads one answer after the other.
#[derive(Debug, Default)]
pub struct RespScanner {
    carry: Carry,
}

impl RespScanner {
    /// Takes all of `input`; tells for each answer whether it is good, or the error.
    pub fn feed(&mut self, input: &[u8], on: &mut impl FnMut(Result<(), &str>)) -> Result<(), Broken> {
        self.carry.feed(input, |bytes| {
            let mut at = 0;
            while let Some(line) = memchr(b'\n', &bytes[at..]) {
                let (text, after) = (bytes[at..at + line].trim_ascii_end(), at + line + 1);
                let text = std::str::from_utf8(text).map_err(|_| Broken("Redis' answer is not text"))?;
                let end = match text.as_bytes() {
                    [b'$', b'-', ..] => after,
                    [b'$', length @ ..] => after + bulk_bytes(length)?,
                    [b':' | b'+' | b'-', ..] => after,
                    _ => return Err(Broken("Redis answers with what publishing does not give")),
                };
                if end > bytes.len() {
                    break;
                }
                on(text.strip_prefix('-').map_or(Ok(()), Err));
                at = end;
            }
            Ok(at)
        })
    }
}

/// A string of so many bytes, with its line end.
fn bulk_bytes(length: &[u8]) -> Result<usize, Broken> {
    let length = std::str::from_utf8(length).ok().and_then(|length| length.parse::<u32>().ok());
    length.map(|length| length as usize + 2).ok_or(Broken("Redis' answer has a bad length"))
}
