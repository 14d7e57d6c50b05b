//! Keys and tokens that others made: PyJWT (`tests/fixtures/make.py`).

use std::sync::LazyLock;

use serde_json::Value;

use super::algorithm::Algorithm;
use super::key::Key;
use super::verifier::{ExpiryRule, Rules};

/// When the tokens are good.
pub(crate) const NOW_S: u64 = 1_700_000_100;
/// Their `exp`.
pub(crate) const EXPIRES_S: u64 = 1_700_003_600;
/// Their `nbf`.
pub(crate) const BEGINS_S: u64 = 1_700_000_000;

static FIXTURES: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../tests/fixtures/tokens.json")).unwrap());

pub(crate) fn fixtures() -> &'static Value {
    &FIXTURES
}

/// A text of the fixtures, such as `/keys/0/pem`.
pub(crate) fn text(pointer: &str) -> &'static str {
    fixtures().pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}"))
}

/// Everything that is there for an algorithm.
pub(crate) fn entry(algorithm: Algorithm) -> &'static Value {
    let mut all = ["keys", "secrets"].into_iter().flat_map(|kind| fixtures()[kind].as_array().unwrap());
    all.find(|entry| entry["alg"] == algorithm.name()).unwrap()
}

/// The key of an algorithm.
pub(crate) fn key(algorithm: Algorithm, id: Option<&str>) -> Key {
    let entry = entry(algorithm);
    match entry["pem"].as_str() {
        Some(pem) => Key::read(algorithm, id, pem.as_bytes()).unwrap(),
        None => Key::read(algorithm, id, &secret(entry)).unwrap(),
    }
}

pub(crate) fn secret(entry: &Value) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(entry["secret"].as_str().unwrap()).unwrap()
}

pub(crate) fn token(algorithm: Algorithm) -> &'static str {
    entry(algorithm)["token"].as_str().unwrap()
}

/// A token that says `kid` is `key-1`.
pub(crate) fn token_with_kid(algorithm: Algorithm) -> &'static str {
    entry(algorithm)["token_with_kid"].as_str().unwrap()
}

pub(crate) fn rules() -> Rules {
    Rules { issuer: None, audiences: Vec::new(), leeway_s: 5, expiry: ExpiryRule::Required }
}

pub(crate) const ALGORITHMS: [Algorithm; 13] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
];
