//! What a client offers about compression, and what is agreed (RFC 6455, section 9.1; RFC 7692, sections 5 and 7.1).
//!
//! An offer that has anything unknown, twice or out of range is declined, and the next one is looked at. What is agreed always has
//! both sides forget each message before the next.

use std::borrow::Cow;

use crate::wire::deflate::{DeflateSettings, WINDOW_BITS_MAX, Window};

/// The extension's name.
const NAME: &str = "permessage-deflate";

/// The smallest window that an offer may name.
const OFFERED_BITS_MIN: u8 = 8;

/// The list of extensions is not written as RFC 6455 says: the handshake must fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Sec-WebSocket-Extensions is not a list of extensions as RFC 6455, section 9.1, has it")]
pub struct Malformed;

/// Both sides may compress messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// With which window messages for the client are compressed.
    pub window: Window,
    /// What the answer says about it.
    server_max_window_bits: Option<u8>,
}

impl Agreement {
    /// The value of `Sec-WebSocket-Extensions` in the answer.
    pub fn answer(&self) -> String {
        let mut answer = format!("{NAME}; server_no_context_takeover; client_no_context_takeover");
        if let Some(bits) = self.server_max_window_bits {
            answer += &format!("; server_max_window_bits={bits}");
        }
        answer
    }
}

/// Agrees on the first offer that can be accepted. `values` are those of all headers `Sec-WebSocket-Extensions`, in their order.
pub fn agree<'a>(
    values: impl IntoIterator<Item = &'a str>,
    settings: DeflateSettings,
) -> Result<Option<Agreement>, Malformed> {
    let mut agreed = None;
    for value in values {
        let mut list = List { rest: value };
        while let Some(name) = list.next_extension()? {
            let mut offer = (name == NAME).then(Offer::default);
            while let Some((name, value)) = list.next_parameter()? {
                if let Some(good) = &mut offer
                    && !good.take(name, value.as_deref())
                {
                    offer = None;
                }
            }
            agreed = agreed.or_else(|| offer?.accept(settings));
        }
    }
    Ok(agreed)
}

/// One offer, as far as it is read. Without context takeover on both sides, who must forget what makes no difference.
#[derive(Debug, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: bool,
}

impl Offer {
    /// Takes a parameter (RFC 7692, section 7.1); `false` if the offer must be declined for it.
    fn take(&mut self, name: &str, value: Option<&str>) -> bool {
        match (name, value) {
            ("server_no_context_takeover", None) => {
                !std::mem::replace(&mut self.server_no_context_takeover, true)
            }
            ("client_no_context_takeover", None) => {
                !std::mem::replace(&mut self.client_no_context_takeover, true)
            }
            ("server_max_window_bits", Some(value)) => match window_bits(value) {
                Some(bits) => self.server_max_window_bits.replace(bits).is_none(),
                None => false,
            },
            ("client_max_window_bits", value) => {
                // Whatever the client uses, it is inflated with the largest window.
                value.is_none_or(|value| window_bits(value).is_some())
                    && !std::mem::replace(&mut self.client_max_window_bits, true)
            }
            _ => false,
        }
    }

    fn accept(&self, settings: DeflateSettings) -> Option<Agreement> {
        let window = Window::within(self.server_max_window_bits.unwrap_or(WINDOW_BITS_MAX), settings)?;
        let bits = window.bits(settings);
        // Unasked, it still tells the client that it needs less memory (section 7.1.2.1).
        let is_news = self.server_max_window_bits.is_some() || bits < WINDOW_BITS_MAX;
        Some(Agreement { window, server_max_window_bits: is_news.then_some(bits) })
    }
}

/// A decimal number from 8 to 15, without a leading zero.
fn window_bits(text: &str) -> Option<u8> {
    (OFFERED_BITS_MIN..=WINDOW_BITS_MAX).find(|bits| bits.to_string() == text)
}

/// A name, and a value if there is one.
type Parameter<'a> = (&'a str, Option<Cow<'a, str>>);

/// What is left to read of a list of extensions.
struct List<'a> {
    rest: &'a str,
}

impl<'a> List<'a> {
    /// The name of the next extension; none at the end.
    fn next_extension(&mut self) -> Result<Option<&'a str>, Malformed> {
        // Empty elements are part of a list (RFC 9110, section 5.6.1.2).
        self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
        if self.rest.is_empty() { Ok(None) } else { self.token().map(Some) }
    }

    /// The next parameter of this extension; none at its end.
    fn next_parameter(&mut self) -> Result<Option<Parameter<'a>>, Malformed> {
        self.skip_space();
        if self.rest.is_empty() || self.rest.starts_with(',') {
            return Ok(None);
        }
        self.rest = self.rest.strip_prefix(';').ok_or(Malformed)?;
        self.skip_space();
        let name = self.token()?;
        self.skip_space();
        let Some(rest) = self.rest.strip_prefix('=') else { return Ok(Some((name, None))) };
        self.rest = rest;
        self.skip_space();
        let value = match self.rest.strip_prefix('"') {
            Some(rest) => self.quoted(rest)?,
            None => Cow::Borrowed(self.token()?),
        };
        Ok(Some((name, Some(value))))
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    /// The rest of a quoted string, which must have a token in it.
    fn quoted(&mut self, rest: &'a str) -> Result<Cow<'a, str>, Malformed> {
        let mut token = String::new();
        let mut chars = rest.chars();
        loop {
            match chars.next() {
                Some('"') if !token.is_empty() => break,
                Some('\\') => token.extend(chars.next().filter(|c| is_token(*c)).map(Some).ok_or(Malformed)?),
                Some(c) if is_token(c) => token.push(c),
                _ => return Err(Malformed),
            }
        }
        self.rest = chars.as_str();
        Ok(Cow::Owned(token))
    }
}

/// What may be in a token (RFC 9110, section 5.6.2).
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
#[path = "deflate_offer_tests.rs"]
mod tests;
