//! All keys that tokens may be signed with.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::jwk::Jwk;
use super::key::{Key, KeyError};

/// Most keys in one set. Issuers publish a handful: one that is used, one that comes, some that go.
pub const KEYS_MAX: usize = 64;

/// Keys, each for one algorithm.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Key>);

/// A key of a set that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its `kid`, if that could be read.
    pub id: Option<String>,
    /// Why.
    pub reason: SkipReason,
}

/// Why a key of a set is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// It is no key that can be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is no JWK at all.
    #[error("it is not a JWK")]
    Shape,
    /// There are others enough.
    #[error("a set may have {KEYS_MAX} keys at most")]
    TooMany,
}

/// A document that is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a JWK set: a JSON object with a list \"keys\"")]
pub struct NoKeySet;

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// A set of these keys.
    pub fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    /// Reads a published JWK set (RFC 7517 section 5). What cannot or should not be used is left out
    /// and told, so that one strange key does not keep everybody out: symmetric keys, private ones,
    /// weak ones, those for encryption, and kinds that are not known here.
    pub fn from_jwks(json: &[u8]) -> Result<(Self, Vec<Skipped>), NoKeySet> {
        let document: Document<'_> = serde_json::from_slice(json).map_err(|_| NoKeySet)?;
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for raw in document.keys {
            let jwk = Jwk::parse(raw.get().as_bytes());
            let id = jwk.as_ref().and_then(|jwk| jwk.kid.clone());
            match usable(jwk, keys.len()) {
                Ok(key) => keys.push(key),
                Err(reason) => skipped.push(Skipped { id, reason }),
            }
        }
        Ok((Self(keys), skipped))
    }

    /// Every key.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }
}

fn usable(jwk: Option<Jwk>, before: usize) -> Result<Key, SkipReason> {
    let jwk = jwk.ok_or(SkipReason::Shape)?;
    if jwk.is_symmetric() {
        return Err(KeyError::Symmetric.into());
    }
    if before >= KEYS_MAX {
        return Err(SkipReason::TooMany);
    }
    Ok(jwk.key(None)?)
}

#[cfg(test)]
#[path = "keyset_tests.rs"]
mod tests;
