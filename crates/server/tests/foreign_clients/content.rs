//! What a message carries, however the client that got it was told.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A payload as an application sees it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

impl Content {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(bytes.into())
    }

    /// From a line of a program: `text` or `base64`.
    pub(crate) fn of_line(line: &Value) -> Self {
        match &line["text"] {
            Value::String(text) => Self::text(text),
            _ => Self::of_base64(&line["base64"]),
        }
    }

    /// From a message of JSON mode. Payloads that are JSON are sent without spaces in these tests, so
    /// that they look the same after they were read and written again.
    pub(crate) fn of_json(message: &Value) -> Self {
        match message.get("data") {
            Some(Value::String(text)) => Self::text(text),
            Some(data) => Self::text(data.to_string()),
            None => Self::of_base64(&message["base64"]),
        }
    }

    pub(crate) fn of_base64(text: &Value) -> Self {
        let text = text.as_str().unwrap_or_else(|| panic!("neither text nor base64: {text}"));
        Self::bytes(STANDARD.decode(text).unwrap())
    }

    /// A line that makes connection `n` of a program send it.
    pub(crate) fn to_line(&self, n: usize) -> Value {
        match self {
            Self::Text(text) => json!({ "n": n, "text": text }),
            Self::Bytes(bytes) => json!({ "n": n, "base64": STANDARD.encode(bytes) }),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// Long payloads are shown by their beginning and length.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.as_bytes();
        let kind = if matches!(self, Self::Text(_)) { "text" } else { "bytes" };
        let shown = bytes[..bytes.len().min(60)].escape_ascii();
        write!(f, "{kind} of {}: {shown}", bytes.len())
    }
}
