//! Who a client is and what it may do: JSON Web Tokens (RFC 7519), their keys, and the grants in them.
//!
//! Everything that decides is a pure function of the token, the keys and the time: [`Verifier`]
//! checks, [`Identity`] is what comes out, [`Grants`] answers what it may do. [`Authenticator`] is the
//! one handle that conversations share; it alone waits, for keys that are fetched by somebody else.

mod algorithm;
mod authenticator;
mod claims;
#[cfg(test)]
mod fixtures;
mod grants;
mod jwk;
mod key;
mod keyset;
mod pattern;
mod refresh;
mod sign;
mod verifier;

#[cfg(test)]
pub(crate) use claims::identity_of_claims;

pub use algorithm::Algorithm;
pub use authenticator::{Access, Authenticator};
pub use claims::{ClaimError, INFO_BYTES_MAX, Identity, SUBJECT_BYTES_MAX};
pub use grants::{GrantError, Grants};
pub use key::{Key, KeyError};
pub use keyset::{KEYS_MAX, KeySet, NoKeySet, SkipReason, Skipped};
pub use pattern::{PATTERN_BYTES_MAX, PATTERNS_MAX, PatternError};
pub use refresh::{COOLDOWN, Fetch, Refresh};
pub use sign::{SigningKey, sign};
pub use verifier::{ATTEMPTS_MAX, ExpiryRule, Rules, TOKEN_BYTES_MAX, TokenError, Verifier};
