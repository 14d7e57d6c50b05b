//! Making tokens, for trying things out. A node only checks them.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{error::Unspecified, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::algorithm::Algorithm;
use super::key::{Key, KeyError};

/// A key that makes signatures of one algorithm.
pub struct SigningKey {
    algorithm: Algorithm,
    material: Material,
}

enum Material {
    Secret(Box<hmac::Key>),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    pub(crate) fn hmac(algorithm: Algorithm, secret: &hmac::Key) -> Self {
        Self { algorithm, material: Material::Secret(Box::new(secret.clone())) }
    }

    /// Reads a secret, or a private key in PEM (PKCS#8, PKCS#1 or SEC 1).
    pub fn read(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, KeyError> {
        if algorithm.is_symmetric() {
            return Key::read(algorithm, None, bytes)?.signing().ok_or(KeyError::Unfit { algorithm });
        }
        let der = private_der(bytes)?;
        let rsa = |encoding| {
            RsaKeyPair::from_der(&der)
                .ok()
                .or_else(|| RsaKeyPair::from_pkcs8(&der).ok())
                .map(|pair| Material::Rsa(pair, encoding))
        };
        let ecdsa = |curve: &'static EcdsaSigningAlgorithm| {
            EcdsaKeyPair::from_private_key_der(curve, &der).ok().map(Material::Ecdsa)
        };
        let material = match algorithm {
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => None,
            Algorithm::RS256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::RS384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::RS512 => rsa(&signature::RSA_PKCS1_SHA512),
            Algorithm::PS256 => rsa(&signature::RSA_PSS_SHA256),
            Algorithm::PS384 => rsa(&signature::RSA_PSS_SHA384),
            Algorithm::PS512 => rsa(&signature::RSA_PSS_SHA512),
            Algorithm::ES256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::ES512 => ecdsa(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::EdDSA => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok().map(Material::Ed25519),
        };
        material.map(|material| Self { algorithm, material }).ok_or(KeyError::Unfit { algorithm })
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match &self.material {
            Material::Secret(secret) => Ok(hmac::sign(secret, message).as_ref().to_vec()),
            Material::Ecdsa(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Material::Ed25519(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
            Material::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for SigningKey {
    /// Nothing of the key itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A token with these claims, in compact form (RFC 7515 section 3.1). `None` where the library
/// could not sign, for want of random numbers.
pub fn sign(key: &SigningKey, id: Option<&str>, claims: &serde_json::Value) -> Option<String> {
    let mut header = json!({"alg": key.algorithm.name(), "typ": "JWT"});
    if let Some(id) = id {
        header["kid"] = id.into();
    }
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message =
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = key.signature(message.as_bytes()).ok()?;
    Some(format!("{message}.{}", encode(&signature)))
}

fn private_der(bytes: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut error = KeyError::Unreadable;
    for section in pem::parse_many(bytes).map_err(|_| KeyError::Unreadable)? {
        match section.tag() {
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => return Ok(section.into_contents()),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => error = KeyError::Public,
            _ => {}
        }
    }
    Err(error)
}
