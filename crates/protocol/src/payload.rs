//! What a message carries: JSON, text or bytes, kept exactly as its sender wrote it.

use bytes::Bytes;
use serde_json::value::RawValue;

/// What the sender said that the payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadKind {
    /// Nothing was said (a plain Redis `PUBLISH`, a frame of raw mode): JSON where it is JSON, else
    /// text where it is UTF-8, else bytes.
    Untyped,
    /// One JSON value.
    Json,
    /// UTF-8 text, a string even where it happens to be JSON.
    Text,
    /// Any bytes.
    Bytes,
}

/// A payload and its kind. The bytes are shared, never copied or printed anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// What its sender said it is.
    pub kind: PayloadKind,
    /// The payload, verbatim.
    pub bytes: Bytes,
}

/// A payload as it has to be shown to a reader who cares about the difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View<'a> {
    /// One well-formed JSON value, as written.
    Json(&'a str),
    /// UTF-8 that is to be shown as a string.
    Text(&'a str),
    /// Not text.
    Bytes(&'a [u8]),
}

impl Payload {
    /// A payload of the given kind.
    pub fn new(kind: PayloadKind, bytes: impl Into<Bytes>) -> Self {
        Self { kind, bytes: bytes.into() }
    }

    /// A payload whose sender said nothing about it.
    pub fn untyped(bytes: impl Into<Bytes>) -> Self {
        Self::new(PayloadKind::Untyped, bytes)
    }

    /// The payload as text, unless it is or was declared to be bytes.
    pub fn as_text(&self) -> Option<&str> {
        match self.kind {
            PayloadKind::Bytes => None,
            _ => std::str::from_utf8(&self.bytes).ok(),
        }
    }

    /// How to show the payload. A declared kind is checked, not believed: what a backend declares
    /// as JSON and is not would otherwise break the frame around it.
    pub fn view(&self) -> View<'_> {
        let Some(text) = self.as_text() else {
            return View::Bytes(&self.bytes);
        };
        let json_wanted = matches!(self.kind, PayloadKind::Json | PayloadKind::Untyped);
        if json_wanted && is_json(text) { View::Json(text) } else { View::Text(text) }
    }
}

/// Whether `text` is exactly one JSON value. Does not recurse, whatever the nesting.
pub fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views() {
        use PayloadKind::{Bytes as B, Json, Text, Untyped};
        let cases: &[(PayloadKind, &[u8], View<'_>)] = &[
            (Untyped, b"{\"a\":1}", View::Json("{\"a\":1}")),
            (Untyped, b" 1 ", View::Json(" 1 ")),
            (Untyped, b"hello", View::Text("hello")),
            (Untyped, b"", View::Text("")),
            (Untyped, b"{\"a\":1} x", View::Text("{\"a\":1} x")),
            (Untyped, b"\xff\xfe", View::Bytes(b"\xff\xfe")),
            (Text, b"1", View::Text("1")),
            (Text, b"\xff", View::Bytes(b"\xff")),
            (Json, b"1", View::Json("1")),
            (Json, b"{broken", View::Text("{broken")),
            (B, b"1", View::Bytes(b"1")),
        ];
        for (kind, bytes, expected) in cases {
            let payload = Payload::new(*kind, Bytes::copy_from_slice(bytes));
            assert_eq!(payload.view(), *expected, "{kind:?} {bytes:?}");
        }
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let deep = format!("{}{}", "[".repeat(500_000), "]".repeat(500_000));
        assert!(is_json(&deep));
        assert!(!is_json(&"[".repeat(500_000)));
    }
}
