//! Keys as JSON (RFC 7517, RFC 7518 section 6, RFC 8037).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::algorithm::{Algorithm, Scheme};
use super::key::{Key, KeyError};

/// The members that are read.
#[derive(Deserialize)]
pub(crate) struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    pub(crate) kid: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    /// The private part of every type but `oct`.
    d: Option<serde::de::IgnoredAny>,
}

impl Jwk {
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(crate) fn is_symmetric(&self) -> bool {
        self.kty == "oct"
    }

    /// The key, for the algorithm that it says, or that its type implies. Where `wanted` is said, it
    /// must not be another.
    pub(crate) fn key(&self, wanted: Option<Algorithm>) -> Result<Key, KeyError> {
        if self.d.is_some() {
            return Err(KeyError::Private);
        }
        let for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
        if !for_signatures {
            return Err(KeyError::Use);
        }
        let said = match &self.alg {
            Some(name) => Some(Algorithm::parse(name).ok_or(KeyError::Unsupported)?),
            None => None,
        };
        let algorithm = match (wanted, said) {
            (Some(wanted), Some(said)) if wanted != said => return Err(KeyError::OtherAlgorithm(wanted)),
            (Some(algorithm), _) | (None, Some(algorithm)) => algorithm,
            (None, None) => self.implied()?,
        };
        self.read(algorithm).ok_or(KeyError::Unfit { algorithm })?
    }

    /// The algorithm of a key that does not say it. For RSA it is RS256, as everywhere: a key has one
    /// algorithm, and who signs with another can say so.
    fn implied(&self) -> Result<Algorithm, KeyError> {
        match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => Ok(Algorithm::RS256),
            ("EC", Some("P-256")) => Ok(Algorithm::ES256),
            ("EC", Some("P-384")) => Ok(Algorithm::ES384),
            ("EC", Some("P-521")) => Ok(Algorithm::ES512),
            ("OKP", Some("Ed25519")) => Ok(Algorithm::EdDSA),
            _ => Err(KeyError::Unsupported),
        }
    }

    /// `None` where the members are not those of a key for `algorithm`.
    fn read(&self, algorithm: Algorithm) -> Option<Result<Key, KeyError>> {
        let id = self.kid.as_deref();
        match (&*self.kty, algorithm.scheme()) {
            ("oct", Scheme::Hmac(_)) => Some(Key::secret(algorithm, id, &bytes(&self.k)?)),
            ("RSA", Scheme::Rsa(_)) => Some(Key::rsa(algorithm, id, &bytes(&self.n)?, &bytes(&self.e)?)),
            ("EC", Scheme::Ecdsa(_, coordinate_bytes)) => {
                let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
                // Full length, with leading zeros (RFC 7518 section 6.2.1.2).
                if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
                    return None;
                }
                // An uncompressed point.
                let point = [&[4][..], &x, &y].concat();
                Some(Key::public(algorithm, id, &point))
            }
            ("OKP", Scheme::Ed25519) => {
                let point = bytes(&self.x).filter(|point| point.len() == 32)?;
                Some(Key::public(algorithm, id, &point))
            }
            _ => None,
        }
    }
}

fn bytes(member: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(member.as_deref()?).ok()
}
