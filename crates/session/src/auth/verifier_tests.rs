//! Tokens, good and bad, in both directions: the same token is taken where the one thing is right.

use super::super::fixtures::{self, ALGORITHMS, BEGINS_S, EXPIRES_S, NOW_S, rules, token, token_with_kid};
use super::super::sign::{SigningKey, sign};
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

use Algorithm::{ES256, ES384, EdDSA, HS256, PS256, RS256, RS384};

fn verifier(keys: Vec<Key>) -> Verifier {
    Verifier::new(rules(), KeySet::new(keys))
}

fn with_key(algorithm: Algorithm) -> Verifier {
    verifier(vec![fixtures::key(algorithm, None)])
}

/// A token of our own with this header and these claims, its signature made by the HS256 fixture key.
fn forge(header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(&header.to_string()), encode(&claims.to_string()));
    let secret = fixtures::secret(fixtures::entry(HS256));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, message.as_bytes())))
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn claims() -> Value {
    json!({"sub": "alice", "exp": EXPIRES_S})
}

#[test]
fn every_algorithm_is_taken_with_its_key_and_with_no_other() {
    for algorithm in ALGORITHMS {
        let identity = with_key(algorithm).verify(token(algorithm), NOW_S).unwrap();
        assert_eq!(identity.user.as_deref(), Some("alice"));
        assert_eq!(identity.info.as_deref(), Some(r#"{"name":"Alice \u00dcn\u00ef"}"#));
        assert_eq!(identity.expires_at, Some(EXPIRES_S + 5));
        let room = |name| roomcast_protocol::Room::parse(name).unwrap();
        assert!(identity.grants.may_subscribe(&room("user:alice")));
        assert!(!identity.grants.may_publish(&room("user:alice")));
        for other in ALGORITHMS.into_iter().filter(|other| *other != algorithm) {
            let result = with_key(other).verify(token(algorithm), NOW_S);
            assert_eq!(result, Err(TokenError::WrongAlgorithm), "{algorithm} token, {other} key");
        }
    }
}

#[test]
fn times() {
    let with = |leeway_s, expiry| {
        Verifier::new(Rules { leeway_s, expiry, ..rules() }, KeySet::new(vec![fixtures::key(HS256, None)]))
    };
    let cases = [
        (5, EXPIRES_S + 4, Ok(())),
        (5, EXPIRES_S + 5, Err(TokenError::Expired)),
        (0, EXPIRES_S - 1, Ok(())),
        (0, EXPIRES_S, Err(TokenError::Expired)),
        (5, BEGINS_S - 5, Ok(())),
        (5, BEGINS_S - 6, Err(TokenError::NotYetValid)),
        (0, BEGINS_S, Ok(())),
        (0, BEGINS_S - 1, Err(TokenError::NotYetValid)),
        (5, 0, Err(TokenError::NotYetValid)),
        (5, u64::MAX, Err(TokenError::Expired)),
    ];
    for (leeway_s, now_s, expected) in cases {
        let result = with(leeway_s, ExpiryRule::Required).verify(token(HS256), now_s).map(|_| ());
        assert_eq!(result, expected, "{leeway_s} {now_s}");
    }
    let endless = forge(&json!({"alg": "HS256"}), &json!({"sub": "alice"}));
    assert_eq!(with(5, ExpiryRule::Required).verify(&endless, NOW_S), Err(TokenError::NoExpiry));
    let identity = with(5, ExpiryRule::Optional).verify(&endless, NOW_S).unwrap();
    assert_eq!(identity.expires_at, None);
    let result = with(5, ExpiryRule::Optional).verify(token(HS256), EXPIRES_S + 5);
    assert_eq!(result, Err(TokenError::Expired), "an end that is said counts");
}

#[test]
fn issuer_and_audience() {
    let issuer = |name: &str| Rules { issuer: Some(name.to_owned()), ..rules() };
    let audience =
        |names: &[&str]| Rules { audiences: names.iter().map(ToString::to_string).collect(), ..rules() };
    let (full, bare) = (token(HS256).to_owned(), forge(&json!({"alg": "HS256"}), &claims()));
    let wrong_kind = forge(&json!({"alg": "HS256"}), &json!({"exp": EXPIRES_S, "iss": 1, "aud": 1}));
    let cases = [
        (issuer("https://issuer.example"), &full, Ok(())),
        (issuer("https://issuer.example/"), &full, Err(TokenError::WrongIssuer)),
        (issuer("https://issuer.example"), &bare, Err(TokenError::WrongIssuer)),
        (issuer("x"), &wrong_kind, Err(TokenError::Claim(ClaimError::Issuer))),
        (audience(&["roomcast"]), &full, Ok(())),
        (audience(&["x", "other"]), &full, Ok(())),
        (audience(&["x"]), &full, Err(TokenError::WrongAudience)),
        (audience(&["roomcast"]), &bare, Err(TokenError::WrongAudience)),
        (audience(&["x"]), &wrong_kind, Err(TokenError::Claim(ClaimError::Audience))),
        (rules(), &full, Ok(())),
        (rules(), &bare, Ok(())),
    ];
    for (rules, token, expected) in cases {
        let verifier = Verifier::new(rules.clone(), KeySet::new(vec![fixtures::key(HS256, None)]));
        assert_eq!(verifier.verify(token, NOW_S).map(|_| ()), expected, "{rules:?}");
    }
}

#[test]
fn attacks_on_the_algorithm() {
    let confused = fixtures::text("/confused");
    assert_eq!(with_key(RS256).verify(confused, NOW_S), Err(TokenError::WrongAlgorithm));
    let both = verifier(vec![fixtures::key(RS256, None), fixtures::key(HS256, None)]);
    assert_eq!(both.verify(confused, NOW_S), Err(TokenError::BadSignature));
    for name in ["none", "None", "NONE", "nOnE"] {
        let message =
            format!("{}.{}", encode(&json!({"alg": name}).to_string()), encode(&claims().to_string()));
        for signature in ["", "AAAA", token(HS256).rsplit('.').next().unwrap()] {
            let token = format!("{message}.{signature}");
            assert_eq!(with_key(HS256).verify(&token, NOW_S), Err(TokenError::Unsigned), "{name}");
        }
    }
    for name in ["", "HS1", "hs256", "RSA-OAEP", "HS256 "] {
        let token = forge(&json!({ "alg": name }), &claims());
        assert_eq!(with_key(HS256).verify(&token, NOW_S), Err(TokenError::UnknownAlgorithm), "{name}");
    }
    // Keys that the token brings along do not count.
    let own =
        json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}, "jku": "http://127.0.0.1/", "x5u": "x"});
    assert!(with_key(HS256).verify(&forge(&own, &claims()), NOW_S).is_ok());
    let other = verifier(vec![Key::read(HS256, None, &[7; 32]).unwrap()]);
    assert_eq!(other.verify(&forge(&own, &claims()), NOW_S), Err(TokenError::BadSignature));
    let demanding = forge(&json!({"alg": "HS256", "crit": ["b64"], "b64": false}), &claims());
    assert_eq!(with_key(HS256).verify(&demanding, NOW_S), Err(TokenError::Critical));
}

#[test]
fn which_key_is_used() {
    let key = |algorithm, id| fixtures::key(algorithm, id);
    let other = |id: Option<&str>| Key::read(RS256, id, fixtures::text("/keys/0/pem").as_bytes()).unwrap();
    let wrong = |id| Key::read(HS256, id, &[7; 32]).unwrap();
    let (plain, named) = (token(RS256), token_with_kid(RS256));
    let hs_named = forge(&json!({"alg": "HS256", "kid": "a"}), &claims());
    let cases: Vec<(Vec<Key>, &str, Result<(), TokenError>)> = vec![
        (vec![], plain, Err(TokenError::UnknownKey)),
        (vec![], named, Err(TokenError::UnknownKey)),
        (vec![key(RS256, None)], named, Ok(())),
        (vec![key(RS256, Some("key-1"))], named, Ok(())),
        (vec![key(RS256, Some("key-1"))], plain, Ok(())),
        (vec![key(RS256, Some("key-2"))], named, Err(TokenError::UnknownKey)),
        (vec![key(RS256, Some("key-2"))], plain, Ok(())),
        (vec![key(RS384, Some("key-1"))], named, Err(TokenError::WrongAlgorithm)),
        (vec![key(RS384, Some("key-1")), key(RS256, None)], named, Err(TokenError::WrongAlgorithm)),
        (vec![key(RS384, Some("key-1")), other(Some("key-1"))], named, Ok(())),
        (vec![key(ES256, None)], plain, Err(TokenError::WrongAlgorithm)),
        (vec![key(ES256, None)], named, Err(TokenError::UnknownKey)),
        (vec![wrong(Some("a"))], &hs_named, Err(TokenError::BadSignature)),
        (vec![wrong(Some("a")), key(HS256, Some("b"))], &hs_named, Err(TokenError::BadSignature)),
        (vec![wrong(None)], &hs_named, Err(TokenError::UnknownKey)),
        (vec![wrong(None), key(HS256, None)], &hs_named, Ok(())),
        (vec![wrong(Some("x")), key(HS256, Some("y"))], token(HS256), Ok(())),
        ((0..9).map(|_| wrong(None)).collect(), token(HS256), Err(TokenError::KeyIdNeeded)),
        ((0..9).map(|_| wrong(None)).chain([key(HS256, Some("a"))]).collect(), &hs_named, Ok(())),
    ];
    for (place, (keys, token, expected)) in cases.into_iter().enumerate() {
        assert_eq!(verifier(keys).verify(token, NOW_S).map(|_| ()), expected, "case {place}");
    }
}

#[test]
fn fetched_keys_count_as_much_and_go_when_they_are_gone() {
    let with = |keys| with_key(HS256).with_fetched(Arc::new(KeySet::new(keys)));
    let rotated = with(vec![fixtures::key(ES256, Some("key-1"))]);
    assert!(rotated.verify(token_with_kid(ES256), NOW_S).is_ok());
    assert!(rotated.verify(token(HS256), NOW_S).is_ok());
    let gone = rotated.with_fetched(Arc::default());
    assert_eq!(gone.verify(token_with_kid(ES256), NOW_S), Err(TokenError::UnknownKey));
    assert!(gone.verify(token(HS256), NOW_S).is_ok());
}

#[test]
fn tokens_that_are_none() {
    let good = token(HS256);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let mut cases: Vec<String> =
        ["", ".", "..", "...", "a", "a.b", "a.b.c", "ä.ö.ü", "\0.\0.\0", " "].map(str::to_owned).to_vec();
    cases.extend([
        message.to_owned(),
        format!("{good}.{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}="),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}\n"),
        format!("{header}.{payload}.+/{signature}"),
        format!("{header}.{payload}\u{200b}.{signature}"),
        format!("{}.{payload}.{signature}", encode("[]")),
        format!("{}.{payload}.{signature}", encode("{\"alg\":null}")),
        format!("{}.{payload}.{signature}", encode("{\"alg\":\"HS256\",\"alg\":\"HS256\"}")),
        format!("{}.{payload}.{signature}", encode("{\"alg\":\"HS256\",\"kid\":7}")),
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode([0xff; 9])),
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(b"{\"alg\":\"HS256\",\"typ\":\"\xff\"}")),
        format!("{header}.{payload}.x.y.z"),
    ]);
    for case in cases {
        assert_eq!(with_key(HS256).verify(&case, NOW_S), Err(TokenError::Malformed), "{case:?}");
    }
    for len in 0..good.len() {
        assert!(with_key(HS256).verify(&good[..len], NOW_S).is_err(), "cut to {len}");
    }
    assert_eq!(with_key(HS256).verify(&format!("{message}."), NOW_S), Err(TokenError::BadSignature));
    let payload = forge(&json!({"alg": "HS256"}), &json!([1]));
    let refusal = TokenError::Claim(ClaimError::Payload);
    assert_eq!(with_key(HS256).verify(&payload, NOW_S), Err(refusal));
}

#[test]
fn a_token_has_a_bound() {
    let info = |len| forge(&json!({"alg": "HS256", "pad": "x".repeat(len)}), &claims());
    let base = info(0).len();
    let longest = (0..TOKEN_BYTES_MAX).rev().map(info).find(|token| token.len() <= TOKEN_BYTES_MAX).unwrap();
    assert!(longest.len() > TOKEN_BYTES_MAX - 4 && base < longest.len());
    assert!(with_key(HS256).verify(&longest, NOW_S).is_ok());
    for token in [format!("{longest}AAAA"), "A".repeat(1 << 20), ".".repeat(1 << 20), info(1 << 20)] {
        assert_eq!(with_key(HS256).verify(&token, NOW_S), Err(TokenError::TooLong));
    }
}

#[test]
fn what_we_sign_is_good_too() {
    for (algorithm, pem) in private_pems() {
        let signing = SigningKey::read(algorithm, &pem).unwrap();
        let token = sign(&signing, Some("k"), &claims()).unwrap();
        let public = public_of(algorithm, &pem);
        let verifier = verifier(vec![Key::read(algorithm, Some("k"), &public).unwrap()]);
        assert_eq!(verifier.verify(&token, NOW_S).unwrap().user.as_deref(), Some("alice"), "{algorithm}");
    }
    let unfit = |algorithm| Err(super::super::key::KeyError::Unfit { algorithm });
    let (_, pem) = private_pems().remove(0);
    assert_eq!(SigningKey::read(ES384, &pem).map(|_| ()), unfit(ES384));
    let public = fixtures::text("/keys/0/pem").as_bytes();
    let refusal = Err(super::super::key::KeyError::Public);
    assert_eq!(SigningKey::read(RS256, public).map(|_| ()), refusal);
}

fn pem_of(tag: &str, der: &[u8]) -> Vec<u8> {
    pem::encode(&pem::Pem::new(tag, der)).into_bytes()
}

/// Fresh private keys in all the forms that they come in.
fn private_pems() -> Vec<(Algorithm, Vec<u8>)> {
    use aws_lc_rs::encoding::{AsDer, EcPrivateKeyRfc5915Der, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, Ed25519KeyPair,
    };
    let mut all = Vec::new();
    let curves = [
        (ES256, &ECDSA_P256_SHA256_FIXED_SIGNING),
        (ES384, &ECDSA_P384_SHA384_FIXED_SIGNING),
        (Algorithm::ES512, &ECDSA_P521_SHA512_FIXED_SIGNING),
    ];
    for (algorithm, curve) in curves {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        all.push((algorithm, pem_of("PRIVATE KEY", pair.to_pkcs8v1().unwrap().as_ref())));
        let sec1: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().unwrap();
        all.push((algorithm, pem_of("EC PRIVATE KEY", sec1.as_ref())));
    }
    let rsa: Pkcs8V1Der<'_> = KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let rsa = rsa.as_ref().to_vec();
    for algorithm in [RS256, RS384, Algorithm::RS512, PS256, Algorithm::PS384, Algorithm::PS512] {
        all.push((algorithm, pem_of("PRIVATE KEY", &rsa)));
        // PKCS#1 is what PKCS#8 wraps, behind 26 bytes for a key of this size.
        all.push((algorithm, pem_of("RSA PRIVATE KEY", &rsa[26..])));
    }
    let ed = Ed25519KeyPair::generate().unwrap();
    all.push((EdDSA, pem_of("PRIVATE KEY", ed.to_pkcs8().unwrap().as_ref())));
    all.push((EdDSA, pem_of("PRIVATE KEY", ed.to_pkcs8v1().unwrap().as_ref())));
    all
}

fn public_of(algorithm: Algorithm, private: &[u8]) -> Vec<u8> {
    use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
    let der = pem::parse(private).unwrap().into_contents();
    let curve = match algorithm {
        ES256 => &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        ES384 => &aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        Algorithm::ES512 => &aws_lc_rs::signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        EdDSA => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
            let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
            return json!({"kty": "OKP", "crv": "Ed25519", "x": x}).to_string().into_bytes();
        }
        _ => {
            let pair = aws_lc_rs::rsa::KeyPair::from_der(&der)
                .or_else(|_| aws_lc_rs::rsa::KeyPair::from_pkcs8(&der))
                .unwrap();
            return pem_of("RSA PUBLIC KEY", pair.public_key().as_ref());
        }
    };
    let pair = EcdsaKeyPair::from_private_key_der(curve, &der).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    let crv = match algorithm {
        ES256 => "P-256",
        ES384 => "P-384",
        _ => "P-521",
    };
    let encode = |bytes| URL_SAFE_NO_PAD.encode(bytes);
    json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)}).to_string().into_bytes()
}

#[test]
fn refusals_say_nothing_of_the_token() {
    let secret = "zebra";
    let claims = json!({"sub": [secret], "exp": EXPIRES_S, "iss": secret, "aud": secret});
    let rooms = json!({"sub": "a", "exp": EXPIRES_S, "rooms": {"publish": [format!("{{{secret}}}")]}});
    for claims in [claims, rooms] {
        let error = with_key(HS256).verify(&forge(&json!({"alg": "HS256"}), &claims), NOW_S).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(secret), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(token in ".{0,200}") {
        prop_assert!(with_key(HS256).verify(&token, NOW_S).is_err());
    }

    #[test]
    fn no_parts_panic(header in ".{0,80}", payload in ".{0,80}", signature in proptest::collection::vec(any::<u8>(), 0..140)) {
        let token = format!("{}.{}.{}", encode(&header), encode(&payload), URL_SAFE_NO_PAD.encode(signature));
        prop_assert!(with_key(ES256).verify(&token, NOW_S).is_err());
    }

    #[test]
    fn no_signed_claims_panic(name in "(sub|info|rooms|exp|nbf|iss|aud|x)", value in "[\\[\\]{}\":,0-9a-z.eE+-]{0,40}") {
        let value: Value = serde_json::from_str(&value).unwrap_or(json!(value));
        let mut claims = claims();
        claims[name] = value;
        let _ = with_key(HS256).verify(&forge(&json!({"alg": "HS256"}), &claims), NOW_S);
    }

    #[test]
    fn no_changed_byte_goes_unseen(place in 0usize..200, flip in 1u8..=127) {
        let good = token(ES256);
        let mut bytes = good.as_bytes().to_vec();
        let place = place % bytes.len();
        bytes[place] ^= flip;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(with_key(ES256).verify(&changed, NOW_S).is_err(), "{}", changed);
        }
    }
}
