//! One key: what it checks, and how it is read. A key belongs to one algorithm for good, so that a
//! token cannot choose another way to be checked (RFC 8725 section 3.1).

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKey as RsaPublicKey;
use aws_lc_rs::signature::{ED25519, ParsedPublicKey, RsaPublicKeyComponents, VerificationAlgorithm};
use rustls_pki_types::CertificateDer;

use super::algorithm::{Algorithm, Scheme};
use super::jwk::Jwk;
use super::sign::SigningKey;

/// Shortest modulus, in bytes (RFC 7518 section 3.3): 2048 bits.
const MODULUS_BYTES_MIN: usize = 256;

/// Longest modulus, in bytes: checking a signature takes time with its square.
const MODULUS_BYTES_MAX: usize = 1024;

/// A key that checks signatures of one algorithm.
pub struct Key {
    algorithm: Algorithm,
    id: Option<Box<str>>,
    material: Material,
}

enum Material {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// Why something is no key. Says nothing of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A secret that could be guessed (RFC 7518 section 3.2).
    #[error(
        "the secret has {len} bytes, {algorithm} needs {} at least; make one with: openssl rand -base64 64",
        algorithm.secret_bytes_min()
    )]
    ShortSecret {
        /// What it is for.
        algorithm: Algorithm,
        /// How many bytes it has.
        len: usize,
    },
    /// A key pair where a secret belongs: its public half is known to everybody.
    #[error("a PEM file is not a secret for {0}; give its algorithm, such as RS256, ES256 or EdDSA")]
    PemAsSecret(Algorithm),
    /// Neither PEM nor JWK.
    #[error("it is neither a PEM file with a public key or a certificate nor a JWK")]
    Unreadable,
    /// A private key where the public one suffices.
    #[error("it is a private key, and checking tokens takes the public one; see: openssl pkey -pubout")]
    Private,
    /// A public key where a private one is needed.
    #[error("it is a public key, and signing takes the private one")]
    Public,
    /// A key for another algorithm, or one that is too weak.
    #[error("it is not a key for {algorithm}, which takes {}", fit(*.algorithm))]
    Unfit {
        /// What it should be for.
        algorithm: Algorithm,
    },
    /// A key that is meant for encryption.
    #[error("it is not meant for signatures (use or key_ops)")]
    Use,
    /// A symmetric key in a document that anybody may read.
    #[error("it is a symmetric key (oct): whoever can read it can make tokens")]
    Symmetric,
    /// A type, curve or algorithm that tokens are not signed with here.
    #[error("its type, curve or algorithm is not one of those that are supported")]
    Unsupported,
    /// The JWK says another algorithm than the one that was asked for.
    #[error("the JWK says that it is for another algorithm than {0}")]
    OtherAlgorithm(Algorithm),
}

fn fit(algorithm: Algorithm) -> &'static str {
    match algorithm.scheme() {
        Scheme::Hmac(_) => "a secret",
        Scheme::Rsa(_) => "an RSA key of 2048 to 8192 bits",
        Scheme::Ecdsa(_, 32) => "a key on the curve P-256",
        Scheme::Ecdsa(_, 48) => "a key on the curve P-384",
        Scheme::Ecdsa(..) => "a key on the curve P-521",
        Scheme::Ed25519 => "an Ed25519 key",
    }
}

impl Key {
    /// Reads a key for `algorithm`: a secret's bytes, or a public key in PEM (SPKI, PKCS#1 or an X.509
    /// certificate) or as a JWK. Space around a PEM file or a JWK does not matter; in a secret all
    /// bytes count.
    pub fn read(algorithm: Algorithm, id: Option<&str>, bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.trim_ascii_start().starts_with(b"{")
            && let Some(jwk) = Jwk::parse(bytes)
        {
            let mut key = jwk.key(Some(algorithm))?;
            key.id = id.map(Into::into).or(key.id);
            return Ok(key);
        }
        if algorithm.is_symmetric() {
            return Self::secret(algorithm, id, bytes);
        }
        Self::public(algorithm, id, &public_der(bytes)?)
    }

    /// A secret.
    pub(crate) fn secret(algorithm: Algorithm, id: Option<&str>, secret: &[u8]) -> Result<Self, KeyError> {
        let Scheme::Hmac(hmac) = algorithm.scheme() else {
            return Err(KeyError::Unfit { algorithm });
        };
        if secret.trim_ascii_start().starts_with(b"-----BEGIN ") {
            return Err(KeyError::PemAsSecret(algorithm));
        }
        if secret.len() < algorithm.secret_bytes_min() {
            return Err(KeyError::ShortSecret { algorithm, len: secret.len() });
        }
        let material = Material::Secret(Box::new(hmac::Key::new(hmac, secret)));
        Ok(Self { algorithm, id: id.map(Into::into), material })
    }

    /// A public key: DER for RSA; DER, or the bare point, for the others.
    pub(crate) fn public(algorithm: Algorithm, id: Option<&str>, bytes: &[u8]) -> Result<Self, KeyError> {
        let unfit = KeyError::Unfit { algorithm };
        let scheme: &'static dyn VerificationAlgorithm = match algorithm.scheme() {
            Scheme::Hmac(_) => return Err(unfit),
            Scheme::Rsa(parameters) => {
                // The library looks at the length only when it checks a signature.
                let len = RsaPublicKey::from_der(bytes).map_err(|_| unfit)?.modulus_len();
                if !(MODULUS_BYTES_MIN..=MODULUS_BYTES_MAX).contains(&len) {
                    return Err(unfit);
                }
                parameters
            }
            Scheme::Ecdsa(ecdsa, _) => ecdsa,
            Scheme::Ed25519 => &ED25519,
        };
        let public = ParsedPublicKey::new(scheme, bytes).map_err(|_| unfit)?;
        Ok(Self { algorithm, id: id.map(Into::into), material: Material::Public(public) })
    }

    /// An RSA key from its two numbers, big-endian.
    pub(crate) fn rsa(
        algorithm: Algorithm,
        id: Option<&str>,
        modulus: &[u8],
        exponent: &[u8],
    ) -> Result<Self, KeyError> {
        let components = RsaPublicKeyComponents { n: without_zeros(modulus), e: without_zeros(exponent) };
        let der: PublicKeyX509Der<'_> = components.as_der().map_err(|_| KeyError::Unfit { algorithm })?;
        Self::public(algorithm, id, der.as_ref())
    }

    /// What it checks.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its `kid`, if it has one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The same key for making tokens, where that is possible: a secret.
    pub fn signing(&self) -> Option<SigningKey> {
        match &self.material {
            Material::Secret(secret) => Some(SigningKey::hmac(self.algorithm, secret)),
            Material::Public(_) => None,
        }
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(secret) => hmac::verify(secret, message, signature).is_ok(),
            Material::Public(public) => public.verify_sig(message, signature).is_ok(),
        }
    }
}

impl fmt::Debug for Key {
    /// Nothing of the key itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The public key in the first section of a PEM file that has one.
fn public_der(bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
    for section in pem::parse_many(bytes).map_err(|_| KeyError::Unreadable)? {
        match section.tag() {
            "PUBLIC KEY" | "RSA PUBLIC KEY" => return Ok(section.into_contents()),
            tag if tag.ends_with("PRIVATE KEY") => return Err(KeyError::Private),
            "CERTIFICATE" => {
                let der = CertificateDer::from(section.into_contents());
                let certificate = webpki::EndEntityCert::try_from(&der).map_err(|_| KeyError::Unreadable)?;
                return Ok(certificate.subject_public_key_info().to_vec());
            }
            _ => {}
        }
    }
    Err(KeyError::Unreadable)
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
