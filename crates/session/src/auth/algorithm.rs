//! The signature algorithms of JSON Web Tokens (RFC 7518 section 3.1, RFC 8037), and what does each.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, RsaParameters};

/// How a token is signed. `none` is not among them, and never accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA PKCS#1 v1.5 with SHA-256.
    RS256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    RS384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    RS512,
    /// RSA-PSS with SHA-256.
    PS256,
    /// RSA-PSS with SHA-384.
    PS384,
    /// RSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519.
    EdDSA,
}

/// What checks the signatures of an algorithm.
pub(crate) enum Scheme {
    Hmac(hmac::Algorithm),
    Rsa(&'static RsaParameters),
    /// With the bytes of one coordinate.
    Ecdsa(&'static EcdsaVerificationAlgorithm, usize),
    Ed25519,
}

const ALL: [(&str, Algorithm); 13] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("ES512", Algorithm::ES512),
    ("EdDSA", Algorithm::EdDSA),
];

/// The newer name of what everybody calls EdDSA (RFC 9864).
const ED25519: &str = "Ed25519";

impl Algorithm {
    /// The algorithm of this name, which is case-sensitive.
    pub fn parse(name: &str) -> Option<Self> {
        if name == ED25519 {
            return Some(Self::EdDSA);
        }
        ALL.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// Every name, for messages.
    pub fn names() -> String {
        ALL.map(|(name, _)| name).join(", ")
    }

    /// The name, as in a token's header.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(name, _)| name)
    }

    /// Whether who can check a token can also make one.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }

    /// The shortest secret, in bytes: as long as the hash (RFC 7518 section 3.2).
    pub fn secret_bytes_min(self) -> usize {
        match self {
            Self::HS256 => 32,
            Self::HS384 => 48,
            Self::HS512 => 64,
            _ => 0,
        }
    }

    pub(crate) fn scheme(self) -> Scheme {
        match self {
            Self::HS256 => Scheme::Hmac(hmac::HMAC_SHA256),
            Self::HS384 => Scheme::Hmac(hmac::HMAC_SHA384),
            Self::HS512 => Scheme::Hmac(hmac::HMAC_SHA512),
            Self::RS256 => Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::RS384 => Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::RS512 => Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::PS256 => Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Self::PS384 => Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Self::PS512 => Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Self::ES256 => Scheme::Ecdsa(&signature::ECDSA_P256_SHA256_FIXED, 32),
            Self::ES384 => Scheme::Ecdsa(&signature::ECDSA_P384_SHA384_FIXED, 48),
            Self::ES512 => Scheme::Ecdsa(&signature::ECDSA_P521_SHA512_FIXED, 66),
            Self::EdDSA => Scheme::Ed25519,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_and_nothing_else_does() {
        for (name, algorithm) in ALL {
            assert_eq!((Algorithm::parse(name), algorithm.name()), (Some(algorithm), name));
        }
        assert_eq!(Algorithm::parse("Ed25519"), Some(Algorithm::EdDSA));
        for name in ["", "none", "None", "hs256", "RS1", "Ed448", "ES256K", "HS256 ", "RSA-OAEP"] {
            assert_eq!(Algorithm::parse(name), None, "{name}");
        }
    }
}
