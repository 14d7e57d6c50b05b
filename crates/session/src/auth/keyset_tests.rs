//! Published sets: what is taken of them, and what is left out with its reason.

use super::super::algorithm::Algorithm;
use super::super::fixtures;
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn with(algorithm: Algorithm, members: &Value) -> Value {
    let mut jwk = fixtures::entry(algorithm)["jwk"].clone();
    for (name, value) in members.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

fn read(keys: &[Value]) -> (KeySet, Vec<Skipped>) {
    KeySet::from_jwks(json!({ "keys": keys, "other": 1 }).to_string().as_bytes()).unwrap()
}

#[test]
fn what_each_key_becomes() {
    use Algorithm::{ES256, ES384, ES512, EdDSA, PS256, RS256, RS512};
    let skip = |reason: KeyError| Err(SkipReason::Key(reason));
    let unfit = |algorithm| skip(KeyError::Unfit { algorithm });
    let cases = [
        (with(RS256, &json!({})), Ok(RS256)),
        (with(RS256, &json!({"alg": "RS512", "use": "sig"})), Ok(RS512)),
        (with(RS256, &json!({"alg": "PS256", "key_ops": ["verify"]})), Ok(PS256)),
        (with(ES256, &json!({})), Ok(ES256)),
        (with(ES384, &json!({})), Ok(ES384)),
        (with(ES512, &json!({})), Ok(ES512)),
        (with(EdDSA, &json!({})), Ok(EdDSA)),
        (with(EdDSA, &json!({"alg": "Ed25519", "x5c": ["x"]})), Ok(EdDSA)),
        (with(RS256, &json!({"use": "enc"})), skip(KeyError::Use)),
        (with(RS256, &json!({"key_ops": ["encrypt"]})), skip(KeyError::Use)),
        (with(RS256, &json!({"d": "AAAA"})), skip(KeyError::Private)),
        (with(RS256, &json!({"alg": "none"})), skip(KeyError::Unsupported)),
        (with(RS256, &json!({"alg": "RSA-OAEP"})), skip(KeyError::Unsupported)),
        (with(RS256, &json!({"alg": "HS256"})), unfit(Algorithm::HS256)),
        (with(RS256, &json!({"alg": "ES256"})), unfit(ES256)),
        (with(RS256, &json!({"n": null})), unfit(RS256)),
        (with(RS256, &json!({"n": "%"})), unfit(RS256)),
        (with(RS256, &json!({"e": "AA"})), unfit(RS256)),
        (with(ES256, &json!({"crv": "P-384"})), unfit(ES384)),
        (with(ES256, &json!({"crv": "secp256k1"})), skip(KeyError::Unsupported)),
        (with(ES256, &json!({"x": "AAAA"})), unfit(ES256)),
        // A point that is not on the curve.
        (with(ES256, &json!({"x": "f".repeat(42) + "8"})), unfit(ES256)),
        (with(EdDSA, &json!({"crv": "X25519"})), skip(KeyError::Unsupported)),
        (with(EdDSA, &json!({"x": "AAAA"})), unfit(EdDSA)),
        (fixtures::fixtures()["small_rsa_jwk"].clone(), unfit(RS256)),
        (json!({"kty": "oct", "k": "A".repeat(86)}), skip(KeyError::Symmetric)),
        (json!({"kty": "oct", "alg": "HS256", "k": "A".repeat(86)}), skip(KeyError::Symmetric)),
        (json!({"kty": "new"}), skip(KeyError::Unsupported)),
        (json!({}), Err(SkipReason::Shape)),
        (json!("text"), Err(SkipReason::Shape)),
        (json!({"kty": 1}), Err(SkipReason::Shape)),
    ];
    for (jwk, expected) in cases {
        let (set, skipped) = read(std::slice::from_ref(&jwk));
        let found = match set.keys().first() {
            Some(key) => Ok(key.algorithm()),
            None => Err(skipped[0].reason),
        };
        assert_eq!((found, set.keys().len() + skipped.len()), (expected, 1), "{jwk}");
    }
}

#[test]
fn one_strange_key_does_not_spoil_the_set() {
    let (set, skipped) = read(&[
        json!({"kty": "new", "kid": "strange"}),
        with(Algorithm::ES256, &json!({"kid": "good"})),
        json!(7),
    ]);
    assert_eq!(set.keys().iter().map(Key::id).collect::<Vec<_>>(), [Some("good")]);
    assert_eq!(skipped.iter().map(|s| s.id.as_deref()).collect::<Vec<_>>(), [Some("strange"), None]);
}

#[test]
fn a_set_has_a_bound() {
    let (set, skipped) = read(&vec![with(Algorithm::EdDSA, &json!({})); KEYS_MAX + 2]);
    assert_eq!(set.keys().len(), KEYS_MAX);
    assert_eq!(skipped.iter().map(|s| s.reason).collect::<Vec<_>>(), [SkipReason::TooMany; 2]);
}

#[test]
fn documents_that_are_no_set() {
    for document in ["", "[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":"x"}"#, "<html>", "\u{0}"] {
        assert!(KeySet::from_jwks(document.as_bytes()).is_err(), "{document}");
    }
    assert_eq!(KeySet::from_jwks(br#"{"keys":[]}"#).unwrap().0.keys().len(), 0);
}

proptest! {
    #[test]
    fn nothing_panics(name in "(kty|use|alg|kid|crv|n|e|x|y|d|key_ops)", value in ".{0,40}") {
        for algorithm in [Algorithm::RS256, Algorithm::ES512, Algorithm::EdDSA] {
            read(&[with(algorithm, &json!({ &*name: &*value }))]);
        }
        let _ = KeySet::from_jwks(format!(r#"{{"keys":[{{"{name}":{value}}}]}}"#).as_bytes());
    }
}
