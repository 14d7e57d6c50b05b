//! Tokens: whatever bytes, one that was changed anywhere, and claims that only a good signature lets be read.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use roomcast_session::auth::{
    Algorithm, ExpiryRule, INFO_BYTES_MAX, Identity, Key, KeySet, Rules, SUBJECT_BYTES_MAX, TOKEN_BYTES_MAX, Verifier,
};
use serde_json::Value;

use crate::settings;

/// Keys of all algorithms and tokens signed with them, by another library.
const FIXTURES: &str = include_str!("../../crates/session/tests/fixtures/tokens.json");

/// When those tokens are good.
const NOW_S: u64 = 1_700_000_100;
const LEEWAY_S: u64 = 5;

/// Longest refusal: a sentence, and never the token.
const SENTENCE_BYTES_MAX: usize = 200;

struct Issuer {
    verifier: Verifier,
    tokens: Vec<String>,
    /// Of HS256.
    secret: Vec<u8>,
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(|| {
    let fixtures: Value = serde_json::from_str(FIXTURES).expect("JSON");
    let entries = ["secrets", "keys"].map(|kind| fixtures[kind].as_array().expect("a list"));
    let (mut keys, mut tokens, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries.into_iter().flatten() {
        let algorithm = entry["alg"].as_str().and_then(Algorithm::parse).expect("an algorithm");
        let material = match entry["pem"].as_str() {
            Some(pem) => pem.as_bytes().to_vec(),
            None => STANDARD.decode(entry["secret"].as_str().expect("a secret")).expect("base64"),
        };
        keys.push(Key::read(algorithm, None, &material).expect("a key"));
        tokens.extend(["token", "token_with_kid"].iter().filter_map(|name| entry[*name].as_str().map(str::to_owned)));
        secrets.push(material);
    }
    let rules = Rules { issuer: None, audiences: Vec::new(), leeway_s: LEEWAY_S, expiry: ExpiryRule::Required };
    Issuer { verifier: Verifier::new(rules, KeySet::new(keys)), tokens, secret: secrets.swap_remove(0) }
});

/// One byte for what the rest is: a token; changes to a good one; claims; a header line and claims.
pub fn run(data: &[u8]) {
    let ([kind], rest) = settings(data);
    match kind % 4 {
        0 => any(&String::from_utf8_lossy(rest)),
        1 => changed(rest),
        2 => signed(br#"{"alg":"HS256"}"#, rest),
        _ => {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            signed(&rest[..end], rest.get(end + 1..).unwrap_or_default());
        }
    }
}

/// Only the tokens that were really issued are good.
fn any(token: &str) {
    let accepted = verify(token).is_some();
    assert_eq!(accepted, ISSUER.tokens.iter().any(|issued| issued == token), "{token}");
}

/// A byte that says which token, then changes of three bytes: two for a place, one for what is put there.
fn changed(changes: &[u8]) {
    let ([which], changes) = settings(changes);
    let mut token = ISSUER.tokens[usize::from(which) % ISSUER.tokens.len()].clone().into_bytes();
    for change in changes.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % token.len();
        token[place] = change[2];
    }
    any(&String::from_utf8_lossy(&token));
}

/// Header and payload as they are, with the signature that belongs to them.
fn signed(header: &[u8], payload: &[u8]) {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, &ISSUER.secret);
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    let Some(identity) = verify(&format!("{message}.{signature}")) else { return };
    let header: Value = serde_json::from_slice(header).expect("an accepted header is JSON");
    assert_eq!(header["alg"], "HS256");
    assert!(header["crit"].is_null() && payload.len() < TOKEN_BYTES_MAX);
    let claims: Value = match serde_json::from_slice(payload) {
        Ok(claims) => claims,
        // Numbers and depths that a `Value` does not have, in claims that nobody reads.
        Err(_) => return,
    };
    check_claims(&claims, &identity);
}

fn check_claims(claims: &Value, identity: &Identity) {
    assert!(claims.is_object(), "{claims}");
    let exp = claims["exp"].as_f64().expect("a token ends");
    assert!(exp.max(0.0).floor() + LEEWAY_S as f64 > NOW_S as f64, "{claims}");
    assert!(identity.expires_at.is_some_and(|end| end > NOW_S), "{claims}");
    assert!(claims["nbf"].as_f64().unwrap_or_default() <= (NOW_S + LEEWAY_S) as f64, "{claims}");
    assert_eq!(identity.user.as_deref(), claims["sub"].as_str(), "{claims}");
    assert!(claims["sub"].is_null() || claims["sub"].is_string(), "{claims}");
    assert!(identity.user.as_deref().is_none_or(|user| (1..=SUBJECT_BYTES_MAX).contains(&user.len())), "{claims}");
    assert_eq!(identity.info.is_some(), !claims["info"].is_null(), "{claims}");
    if let Some(info) = identity.info.as_deref() {
        // It becomes a part of lines and of other JSON.
        assert!(info.len() <= INFO_BYTES_MAX && !info.contains(['\n', '\r']), "{info:?}");
        assert_eq!(serde_json::from_str::<Value>(info).ok().as_ref(), Some(&claims["info"]));
    }
    assert!(claims["rooms"].is_null() || claims["rooms"].is_object(), "{claims}");
    if let Some(room) = identity.user_room() {
        assert!(identity.grants.may_subscribe(&room), "{claims}");
    }
}

fn verify(token: &str) -> Option<Identity> {
    match ISSUER.verifier.verify(token, NOW_S) {
        Ok(identity) => Some(identity),
        Err(refusal) => {
            assert!(refusal.to_string().len() <= SENTENCE_BYTES_MAX, "{refusal}");
            None
        }
    }
}
