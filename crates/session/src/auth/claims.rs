//! The claims of a token: who the client is, until when, and what it may do.

use std::sync::Arc;

use roomcast_protocol::Room;
use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;

use super::grants::{GrantError, Grants, RoomsClaim};

/// Longest user name, in bytes: that of a room name.
pub const SUBJECT_BYTES_MAX: usize = 200;

/// Longest `info`, in bytes of its JSON text: it is kept for each member of a room and sent to all
/// of the others.
pub const INFO_BYTES_MAX: usize = 4 * 1024;

/// Who a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The claim `sub`; at most [`SUBJECT_BYTES_MAX`] bytes without control characters.
    pub user: Option<Arc<str>>,
    /// The claim `info`: JSON text without any white space around its words, at most [`INFO_BYTES_MAX`].
    pub info: Option<Arc<str>>,
    /// What it may do.
    pub grants: Grants,
    /// When that ends, in Unix seconds: the claim `exp` and the leeway. `None`: never.
    pub expires_at: Option<u64>,
}

impl Identity {
    /// A client without a token that may do what `grants` say.
    pub fn anonymous(grants: Grants) -> Self {
        Self { user: None, info: None, grants, expires_at: None }
    }

    /// Whether it is nobody: no token, or one that says nothing.
    pub fn is_anonymous(&self) -> bool {
        self.user.is_none() && self.grants == Grants::nothing()
    }

    /// The user's own room; none without a user, or with one whose name cannot be that of a room.
    pub fn user_room(&self) -> Option<Room> {
        Room::parse(&format!("@{}", self.user.as_deref()?)).ok()
    }
}

/// The claims that are read. Others are not looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Claims<'a> {
    #[serde(borrow, default)]
    sub: Option<&'a RawValue>,
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
    #[serde(borrow, default)]
    rooms: Option<&'a RawValue>,
    #[serde(borrow, default)]
    exp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    nbf: Option<&'a RawValue>,
    #[serde(borrow, default)]
    iss: Option<&'a RawValue>,
    #[serde(borrow, default)]
    aud: Option<&'a RawValue>,
}

/// A claim that is not what it has to be. Its value is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The payload is no JSON object, or has a claim twice.
    #[error("its payload is not a JSON object with each claim once")]
    Payload,
    /// `sub` is no text, or not such a one.
    #[error("the claim sub must be a text of 1 to {SUBJECT_BYTES_MAX} bytes without control characters")]
    Subject,
    /// `info` is too long.
    #[error("the claim info may have {INFO_BYTES_MAX} bytes of JSON at most")]
    Info,
    /// `rooms` has another shape.
    #[error(
        "the claim rooms must be an object with lists of patterns, such as {{\"subscribe\": [\"chat:*\"]}}"
    )]
    Rooms,
    /// `rooms` has the shape but not the contents.
    #[error(transparent)]
    Grants(#[from] GrantError),
    /// `exp` or `nbf` is no number.
    #[error("the claims exp and nbf must be numbers: seconds since 1970")]
    Time,
    /// `iss` is no text.
    #[error("the claim iss must be a text")]
    Issuer,
    /// `aud` is neither a text nor a list of texts.
    #[error("the claim aud must be a text or a list of texts")]
    Audience,
}

impl<'a> Claims<'a> {
    /// Reads the payload of a token.
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Self, ClaimError> {
        // Serde would take a list for the members in order.
        if !payload.trim_ascii_start().starts_with(b"{") {
            return Err(ClaimError::Payload);
        }
        let text = std::str::from_utf8(payload).map_err(|_| ClaimError::Payload)?;
        serde_json::from_str(text).map_err(|_| ClaimError::Payload)
    }

    /// The second from which on the token is not valid any more: a fraction counts as over.
    pub(crate) fn expires(&self) -> Result<Option<u64>, ClaimError> {
        Ok(self.exp.map(seconds).transpose()?.map(|s| s.floor() as u64))
    }

    /// The second before which the token is not valid yet.
    pub(crate) fn begins(&self) -> Result<Option<u64>, ClaimError> {
        Ok(self.nbf.map(seconds).transpose()?.map(|s| s.ceil() as u64))
    }

    pub(crate) fn issuer(&self) -> Result<Option<String>, ClaimError> {
        self.iss.map(|raw| serde_json::from_str(raw.get())).transpose().map_err(|_| ClaimError::Issuer)
    }

    pub(crate) fn audiences(&self) -> Result<Vec<String>, ClaimError> {
        let Some(raw) = self.aud else {
            return Ok(Vec::new());
        };
        let text = serde_json::from_str::<String>(raw.get()).map(|one| vec![one]);
        text.or_else(|_| serde_json::from_str(raw.get())).map_err(|_| ClaimError::Audience)
    }

    /// Who the client is, whose identity ends at `expires_at`.
    pub(crate) fn identity(&self, expires_at: Option<u64>) -> Result<Identity, ClaimError> {
        let user = self.sub.map(subject).transpose()?;
        let info = self.info.map(info).transpose()?;
        let rooms: RoomsClaim = match self.rooms {
            Some(raw) if raw.get().starts_with('{') => {
                serde_json::from_str(raw.get()).map_err(|_| ClaimError::Rooms)?
            }
            Some(_) => return Err(ClaimError::Rooms),
            None => RoomsClaim::default(),
        };
        let grants = Grants::of_claim(user.clone(), &rooms)?;
        Ok(Identity { user, info, grants, expires_at })
    }
}

/// A NumericDate (RFC 7519 section 2), which may have a fraction. Before 1970 counts as 1970.
fn seconds(raw: &RawValue) -> Result<f64, ClaimError> {
    let number: Number = serde_json::from_str(raw.get()).map_err(|_| ClaimError::Time)?;
    number.as_f64().filter(|seconds| seconds.is_finite()).map(|s| s.max(0.0)).ok_or(ClaimError::Time)
}

fn subject(raw: &RawValue) -> Result<Arc<str>, ClaimError> {
    let text: String = serde_json::from_str(raw.get()).map_err(|_| ClaimError::Subject)?;
    let fits = (1..=SUBJECT_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control);
    if fits { Ok(text.into()) } else { Err(ClaimError::Subject) }
}

fn info(raw: &RawValue) -> Result<Arc<str>, ClaimError> {
    let text = without_space(raw.get());
    if text.len() > INFO_BYTES_MAX { Err(ClaimError::Info) } else { Ok(text.into()) }
}

/// JSON text on one line: it becomes part of lines elsewhere.
fn without_space(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    json.chars()
        .filter(|c| {
            if in_text {
                in_text = escaped || *c != '"';
                escaped = !escaped && *c == '\\';
                return true;
            }
            in_text = *c == '"';
            !c.is_ascii_whitespace()
        })
        .collect()
}

/// The identity in the payload of a token that never ends.
#[cfg(test)]
pub(crate) fn identity_of_claims(json: &str) -> Result<Identity, ClaimError> {
    Claims::parse(json.as_bytes())?.identity(None)
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
