//! An incremental reader of what Redis sends to a subscribed RESP2 connection.
//!
//! Written for one job, at a tenth of the cost of a general client: messages, confirmations, pongs
//! and errors. Payloads beyond a bound are skipped without being kept.

use bytes::{Buf, Bytes, BytesMut};

/// Longest payload that is read, in bytes. More than any room may be configured to take; a larger
/// one is skipped and reported.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 << 20;
/// Longest line (a length, a status or an error), in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Longest channel name or kind of a push, in bytes.
const NAME_BYTES_MAX: usize = 4096;
/// A buffer that has grown beyond this, in bytes, is given back when it is empty.
const BUFFER_KEPT_MAX: usize = 1 << 20;

/// One thing that Redis said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A message of a subscribed channel.
    Message { channel: Bytes, payload: Bytes },
    /// A message that was too large to be read.
    TooLarge { channel: Bytes, len: usize },
    /// A confirmation of SUBSCRIBE or UNSUBSCRIBE for one channel.
    Confirmed { channel: Bytes },
    /// Anything that is only a sign of life: pongs, `+OK`, numbers.
    Other,
    /// `-ERR …`.
    Error(String),
}

/// Bytes that are not RESP2 as a subscriber gets it: the connection cannot be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Redis sent bytes that are not RESP2 ({0})")]
pub(crate) struct Malformed(&'static str);

/// The reader of one connection. Fill [`buffer`](Self::buffer), then call [`next`](Self::next)
/// until it gives `None`.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pub(crate) buffer: BytesMut,
    /// Bytes of an oversized payload that are still to be thrown away.
    skip: usize,
}

/// Where parsing stands inside of the buffer.
struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// A reply of this many bytes.
    Reply(Reply, usize),
    /// The head of a message whose payload of `len` bytes is too large.
    Oversized { channel: Bytes, len: usize, head: usize },
}

impl Reader {
    /// The next whole reply in the buffer.
    pub(crate) fn next(&mut self) -> Result<Option<Reply>, Malformed> {
        let skipped = self.skip.min(self.buffer.len());
        self.buffer.advance(skipped);
        self.skip -= skipped;
        if self.buffer.is_empty() && self.buffer.capacity() > BUFFER_KEPT_MAX {
            self.buffer = BytesMut::new();
        }
        match parse(&self.buffer)? {
            Parsed::Incomplete => Ok(None),
            Parsed::Reply(reply, len) => {
                self.buffer.advance(len);
                Ok(Some(reply))
            }
            Parsed::Oversized { channel, len, head } => {
                self.buffer.advance(head);
                self.skip = len + 2;
                Ok(Some(Reply::TooLarge { channel, len }))
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Parsed, Malformed> {
    let mut scan = Scan { bytes, at: 0 };
    let Some(line) = scan.line()? else { return Ok(Parsed::Incomplete) };
    let reply = match line.split_first() {
        Some((b'*', count)) => return parse_push(&mut scan, number(count)?),
        Some((b'+' | b':', _)) => Reply::Other,
        Some((b'-', error)) => Reply::Error(String::from_utf8_lossy(error).into_owned()),
        // A bulk outside of an array: the answer to a PING with payload, for instance.
        Some((b'$', len)) => match scan.bulk(number(len)?, NAME_BYTES_MAX)? {
            Some(_) => Reply::Other,
            None => return Ok(Parsed::Incomplete),
        },
        _ => return Err(Malformed("unknown type")),
    };
    Ok(Parsed::Reply(reply, scan.at))
}

/// `*3 kind channel payload|count` or `*2 pong payload`.
fn parse_push(scan: &mut Scan<'_>, count: usize) -> Result<Parsed, Malformed> {
    if !(2..=3).contains(&count) {
        return Err(Malformed("array of unexpected length"));
    }
    let Some(kind) = scan.name()? else { return Ok(Parsed::Incomplete) };
    let Some(channel) = scan.name()? else { return Ok(Parsed::Incomplete) };
    if count == 2 {
        return Ok(Parsed::Reply(Reply::Other, scan.at));
    }
    let Some(line) = scan.line()? else { return Ok(Parsed::Incomplete) };
    match (kind, line.split_first()) {
        (b"message", Some((b'$', len))) => {
            let len = number(len)?;
            let channel = Bytes::copy_from_slice(channel);
            if len > PAYLOAD_BYTES_MAX {
                return Ok(Parsed::Oversized { channel, len, head: scan.at });
            }
            let Some(payload) = scan.bulk(len, PAYLOAD_BYTES_MAX)? else { return Ok(Parsed::Incomplete) };
            let payload = Bytes::copy_from_slice(payload);
            Ok(Parsed::Reply(Reply::Message { channel, payload }, scan.at))
        }
        (b"subscribe" | b"unsubscribe", Some((b':', _))) => {
            Ok(Parsed::Reply(Reply::Confirmed { channel: Bytes::copy_from_slice(channel) }, scan.at))
        }
        _ => Err(Malformed("unexpected push")),
    }
}

impl<'a> Scan<'a> {
    /// The bytes up to CRLF, which is passed over.
    fn line(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().take(LINE_BYTES_MAX).position(|b| *b == b'\r') else {
            return if rest.len() >= LINE_BYTES_MAX { Err(Malformed("endless line")) } else { Ok(None) };
        };
        match rest.get(end + 1) {
            Some(b'\n') => {
                self.at += end + 2;
                Ok(Some(&rest[..end]))
            }
            Some(_) => Err(Malformed("CR without LF")),
            None => Ok(None),
        }
    }

    /// A bulk string that is a name.
    fn name(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let Some(line) = self.line()? else { return Ok(None) };
        match line.split_first() {
            Some((b'$', len)) => self.bulk(number(len)?, NAME_BYTES_MAX),
            _ => Err(Malformed("expected a bulk string")),
        }
    }

    fn bulk(&mut self, len: usize, max: usize) -> Result<Option<&'a [u8]>, Malformed> {
        if len > max {
            return Err(Malformed("bulk string is too long"));
        }
        let rest = &self.bytes[self.at..];
        if rest.len() < len + 2 {
            return Ok(None);
        }
        if &rest[len..len + 2] != b"\r\n" {
            return Err(Malformed("bulk string without CRLF"));
        }
        self.at += len + 2;
        Ok(Some(&rest[..len]))
    }
}

/// Digits only, where `parse` would take a leading `+`, and never so many that adding to it overflows.
fn number(digits: &[u8]) -> Result<usize, Malformed> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let length = text.and_then(|text| text.parse().ok()).filter(|length| *length <= usize::MAX / 2);
    length.ok_or(Malformed("not a length"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Reply>, Malformed> {
        let mut reader = Reader::default();
        let mut all = Vec::new();
        for part in bytes.chunks(piece) {
            reader.buffer.extend_from_slice(part);
            while let Some(reply) = reader.next()? {
                all.push(reply);
            }
        }
        Ok(all)
    }

    fn message(channel: &str, payload: &[u8]) -> Vec<u8> {
        let head =
            format!("*3\r\n$7\r\nmessage\r\n${}\r\n{channel}\r\n${}\r\n", channel.len(), payload.len());
        [head.as_bytes(), payload, b"\r\n"].concat()
    }

    #[test]
    fn replies() {
        let mut bytes =
            b"+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n-NOAUTH no\r\n"
                .to_vec();
        bytes.extend(message("a", b"x\r\n\0y"));
        let expected = [
            Reply::Other,
            Reply::Confirmed { channel: "a".into() },
            Reply::Other,
            Reply::Error("NOAUTH no".into()),
            Reply::Message { channel: "a".into(), payload: Bytes::from_static(b"x\r\n\0y") },
        ];
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(read(&bytes, piece).unwrap(), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn malformed_bytes_end_the_connection() {
        for bytes in [
            "hello\r\n",
            "*9\r\n",
            "*x\r\n",
            "*3\r\n:1\r\n",
            "+a\rb",
            "*3\r\n$7\r\nmessagexx",
            "*3\r\n$-1\r\n",
            "*+2\r\n$4\r\npong\r\n$0\r\n\r\n",
            "$18446744073709551615\r\n",
            "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$18446744073709551615\r\nx",
        ] {
            assert!(read(bytes.as_bytes(), 100).is_err(), "{bytes:?}");
        }
        assert!(read(&vec![b'+'; LINE_BYTES_MAX], 1 << 20).is_err());
    }

    #[test]
    fn an_oversized_payload_is_skipped() {
        let mut reader = Reader::default();
        let len = PAYLOAD_BYTES_MAX + 1;
        reader.buffer.extend_from_slice(format!("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n${len}\r\n").as_bytes());
        assert_eq!(reader.next(), Ok(Some(Reply::TooLarge { channel: "a".into(), len })));
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..len / chunk.len() {
            reader.buffer.extend_from_slice(&chunk);
            assert_eq!(reader.next(), Ok(None));
        }
        reader.buffer.extend_from_slice(&vec![b'x'; len % chunk.len()]);
        reader.buffer.extend_from_slice(b"\r\n");
        reader.buffer.extend_from_slice(&message("b", b"next"));
        assert_eq!(reader.next(), Ok(Some(Reply::Message { channel: "b".into(), payload: "next".into() })));
        assert!(reader.buffer.capacity() <= BUFFER_KEPT_MAX * 4);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1..50_usize) {
            let _ = read(&bytes, piece);
        }

        #[test]
        fn any_payload_comes_through(payload in proptest::collection::vec(any::<u8>(), 0..200), piece in 1..50_usize) {
            let expected = Reply::Message { channel: "ch".into(), payload: payload.clone().into() };
            prop_assert_eq!(read(&message("ch", &payload), piece).unwrap(), [expected]);
        }
    }
}
