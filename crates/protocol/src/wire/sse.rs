//! Server-Sent Events (HTML standard, section 9.2.6, "Interpreting an event stream").
//!
//! The format cannot carry every text as it is: CR, LF and CRLF all end a line, so each line of a
//! payload becomes a `data:` field of its own and the receiver joins them again with LF. A BOM or NUL
//! inside of data is harmless, because only the first bytes of a stream and the `id` field give them
//! a meaning, and a stream of ours begins with `retry:`.

use bytes::Bytes;

use crate::{Cursor, Position};

/// A comment that keeps proxies and peers awake.
pub const PING: &[u8] = b": ping\n\n";

/// One event. `name` must have no line break, as an [`crate::EventName`] has none; without one
/// the receiver takes it for `message`.
pub fn event(name: Option<&str>, id: Option<Position>, data: &str) -> Bytes {
    let mut out = Vec::with_capacity(data.len() + 64);
    if let Some(name) = name {
        field(&mut out, "event", name.as_bytes());
    }
    if let Some(id) = id {
        field(&mut out, "id", id.to_string().as_bytes());
    }
    for line in lines(data.as_bytes()) {
        field(&mut out, "data", line);
    }
    out.push(b'\n');
    out.into()
}

/// The first bytes of a stream: how long to wait before reconnecting, then the event `connected`, whose id
/// is where the stream begins.
pub fn greeting(retry_ms: u64, cursor: Option<&Cursor>, connected: &[u8]) -> Bytes {
    let mut out = format!("retry: {retry_ms}\n").into_bytes();
    if let Some(cursor) = cursor {
        field(&mut out, "id", cursor.to_string().as_bytes());
    }
    out.extend_from_slice(&event(Some("connected"), None, &String::from_utf8_lossy(connected)));
    out.into()
}

/// The last bytes of a stream that a draining node ends.
pub fn farewell(retry_ms: u64, goodbye: &[u8]) -> Bytes {
    let mut out = format!("retry: {retry_ms}\n").into_bytes();
    out.extend_from_slice(&event(Some("goodbye"), None, &String::from_utf8_lossy(goodbye)));
    out.into()
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    // The one space after the colon is not part of the value; it keeps a leading space of the data.
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Splits at LF, CR and CRLF. Always gives at least one line.
fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
            rest = None;
            return Some(text);
        };
        let crlf = text[end] == b'\r' && text.get(end + 1) == Some(&b'\n');
        rest = Some(&text[end + 1 + usize::from(crlf)..]);
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(data: &str) -> String {
        String::from_utf8(event(None, None, data).to_vec()).unwrap()
    }

    #[test]
    fn events() {
        assert_eq!(plain("x"), "data: x\n\n");
        assert_eq!(plain(""), "data: \n\n");
        assert_eq!(plain(" x"), "data:  x\n\n");
        assert_eq!(plain("a\nb\rc\r\nd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
        assert_eq!(plain("a\n\n"), "data: a\ndata: \ndata: \n\n");
        assert_eq!(plain("\u{feff}\0:id"), "data: \u{feff}\0:id\n\n");
        let full = event(Some("e"), Some(Position { epoch: 1, offset: 2 }), "x");
        assert_eq!(&full[..], b"event: e\nid: 1-2\ndata: x\n\n");
        assert_eq!(&greeting(2000, None, b"{}")[..], b"retry: 2000\nevent: connected\ndata: {}\n\n");
    }

    /// The receiving side of the standard, for one event without further fields.
    fn interpret(stream: &str) -> String {
        let normal = stream.replace("\r\n", "\n").replace('\r', "\n");
        let values: Vec<_> = normal
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|value| value.strip_prefix(' ').unwrap_or(value))
            .collect();
        values.join("\n")
    }

    proptest! {
        #[test]
        fn data_arrives_with_line_breaks_as_lf(data in "(\\PC|\r|\n|\0|: |data|\u{feff}){0,60}") {
            let expected = data.replace("\r\n", "\n").replace('\r', "\n");
            prop_assert_eq!(interpret(&plain(&data)), expected);
        }

        #[test]
        fn one_event_is_one_block(data in "(\\PC|\r|\n){0,60}") {
            let stream = plain(&data);
            prop_assert!(stream.ends_with("\n\n"));
            prop_assert_eq!(stream.matches("\n\n").count(), 1);
            prop_assert!(!stream.contains('\r'));
        }
    }
}
