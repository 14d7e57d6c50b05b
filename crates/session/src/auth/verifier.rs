//! Whether a token is good, as a pure function of token, keys, rules and time.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::algorithm::Algorithm;
use super::claims::{ClaimError, Claims, Identity};
use super::key::Key;
use super::keyset::KeySet;

/// Longest token, in bytes: what fits into a header line that common proxies let through.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Most keys that are tried for one token, so that a token without a `kid` cannot make a node try
/// them all.
pub const ATTEMPTS_MAX: usize = 8;

/// What is asked of a token besides a good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// What `iss` must be, if anything.
    pub issuer: Option<String>,
    /// `aud` must have one of these; empty: it is not looked at.
    pub audiences: Vec<String>,
    /// How far clocks may be apart, in seconds.
    pub leeway_s: u64,
    /// Whether a token must end.
    pub expiry: ExpiryRule,
}

/// Whether a token must say when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryRule {
    /// A token without `exp` is refused: nothing could ever end it.
    Required,
    /// A token without `exp` is good for as long as its key is.
    Optional,
}

/// Why a token is not accepted, in a sentence for who sent it. Says nothing of what is in the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// More than [`TOKEN_BYTES_MAX`]. It has not been looked at.
    #[error("the token is too long: {TOKEN_BYTES_MAX} bytes at most")]
    TooLong,
    /// Not three parts in base64url, or no header in the first.
    #[error("this is not a signed JSON Web Token: header.payload.signature, each in base64url")]
    Malformed,
    /// The algorithm `none`.
    #[error("the token is not signed; unsigned tokens are never accepted")]
    Unsigned,
    /// An algorithm that is not known here.
    #[error("the token's algorithm is not supported; sign with one of {}", Algorithm::names())]
    UnknownAlgorithm,
    /// Not the algorithm of its key.
    #[error("the token is signed with another algorithm than its key is for")]
    WrongAlgorithm,
    /// It demands extensions (`crit`); none are known here.
    #[error("the token's header demands extensions (crit) that are not supported")]
    Critical,
    /// Signed with a key that is not known, or not yet.
    #[error("the token is signed with a key that is not known here; fetch a new one")]
    UnknownKey,
    /// Its key is not known, and whether it is a new one could not be found out now. The only refusal that
    /// says nothing about the token: answer it as `unavailable`, so that the client comes back.
    #[error("tokens cannot be checked now, for want of keys; try again in a moment")]
    KeysUnavailable,
    /// More keys than would be tried.
    #[error("the token does not name its key, and there are too many to try; the issuer should set kid")]
    KeyIdNeeded,
    /// The signature does not fit.
    #[error("the token's signature is wrong: it was changed, or signed with another key")]
    BadSignature,
    /// Its time is over.
    #[error("the token has expired; fetch a new one")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet; check the clocks of the issuer and of the gateway")]
    NotYetValid,
    /// Without `exp`, which is required.
    #[error("the token has no exp claim; the issuer must say when it ends")]
    NoExpiry,
    /// From somebody else.
    #[error("the token's iss claim is not the issuer that is accepted here")]
    WrongIssuer,
    /// For somebody else.
    #[error("the token's aud claim does not name this service")]
    WrongAudience,
    /// A claim of the wrong kind.
    #[error("the token is not accepted: {0}")]
    Claim(#[from] ClaimError),
}

/// Checks tokens.
#[derive(Debug, Clone)]
pub struct Verifier {
    pub(crate) rules: Arc<Rules>,
    /// From the configuration.
    pub(crate) keys: Arc<KeySet>,
    /// From a JWKS URL.
    pub(crate) fetched: Arc<KeySet>,
}

/// The header's members that matter (RFC 7515 section 4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl Verifier {
    /// Checks with these keys.
    pub fn new(rules: Rules, keys: KeySet) -> Self {
        Self { rules: Arc::new(rules), keys: Arc::new(keys), fetched: Arc::default() }
    }

    /// The same, with other keys from a JWKS URL in place of those from before.
    #[must_use]
    pub fn with_fetched(&self, fetched: Arc<KeySet>) -> Self {
        Self { rules: Arc::clone(&self.rules), keys: Arc::clone(&self.keys), fetched }
    }

    /// Who the bearer of `token` is, at `now_s` in Unix seconds. Claims are read only after the
    /// signature turned out good.
    pub fn verify(&self, token: &str, now_s: u64) -> Result<Identity, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        // As text: what is not looked at must be UTF-8 as well (RFC 7515 section 3).
        let header = String::from_utf8(decode(header)?).map_err(|_| TokenError::Malformed)?;
        let header: Header = serde_json::from_str(&header).map_err(|_| TokenError::Malformed)?;
        if header.alg.eq_ignore_ascii_case("none") {
            return Err(TokenError::Unsigned);
        }
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        let algorithm = Algorithm::parse(&header.alg).ok_or(TokenError::UnknownAlgorithm)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        self.check_signature(algorithm, header.kid.as_deref(), message.as_bytes(), &signature)?;
        self.check_claims(&Claims::parse(&payload)?, now_s)
    }

    /// The key that the token names checks it. A token that names none, or one that is not known, is
    /// tried with the keys that have no name.
    fn check_signature(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), TokenError> {
        let keys = || self.keys.keys().iter().chain(self.fetched.keys());
        let named = |key: &&Key| id.is_some() && key.id() == id;
        let is_known = keys().any(|key| named(&key));
        let candidates: Vec<&Key> = keys()
            .filter(|key| if is_known { named(key) } else { id.is_none() || key.id().is_none() })
            .filter(|key| key.algorithm() == algorithm)
            .collect();
        if candidates.len() > ATTEMPTS_MAX {
            return Err(TokenError::KeyIdNeeded);
        }
        if candidates.iter().any(|key| key.verifies(message, signature)) {
            return Ok(());
        }
        let is_new = keys().next().is_none() || (id.is_some() && !is_known);
        Err(match (is_new, candidates.is_empty()) {
            (true, _) => TokenError::UnknownKey,
            (false, true) => TokenError::WrongAlgorithm,
            (false, false) => TokenError::BadSignature,
        })
    }

    fn check_claims(&self, claims: &Claims<'_>, now_s: u64) -> Result<Identity, TokenError> {
        let Rules { issuer, audiences, leeway_s, expiry } = &*self.rules;
        let expires_at = claims.expires()?.map(|expires| expires.saturating_add(*leeway_s));
        match expires_at {
            Some(end) if now_s >= end => return Err(TokenError::Expired),
            None if *expiry == ExpiryRule::Required => return Err(TokenError::NoExpiry),
            _ => {}
        }
        if claims.begins()?.is_some_and(|begin| now_s.saturating_add(*leeway_s) < begin) {
            return Err(TokenError::NotYetValid);
        }
        if issuer.is_some() && claims.issuer()? != *issuer {
            return Err(TokenError::WrongIssuer);
        }
        if !audiences.is_empty() && !claims.audiences()?.iter().any(|named| audiences.contains(named)) {
            return Err(TokenError::WrongAudience);
        }
        Ok(claims.identity(expires_at)?)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
#[path = "verifier_tests.rs"]
mod tests;
