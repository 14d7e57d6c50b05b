//! Keys in every form that they come in, and what is turned away.

use super::super::fixtures::{self, ALGORITHMS};
use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

fn parts(token: &str) -> (&str, Vec<u8>) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    (message, URL_SAFE_NO_PAD.decode(signature).unwrap())
}

fn checks(key: &Key, token: &str) -> bool {
    let (message, signature) = parts(token);
    key.verifies(message.as_bytes(), &signature)
}

#[test]
fn every_form_of_a_key_checks_what_others_signed() {
    for algorithm in ALGORITHMS {
        let entry = fixtures::entry(algorithm);
        let token = entry["token"].as_str().unwrap();
        let mut forms = vec![];
        if algorithm.is_symmetric() {
            let secret = fixtures::secret(entry);
            let jwk = serde_json::json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(&secret)});
            forms.extend([secret, jwk.to_string().into_bytes()]);
        } else {
            forms.push(entry["jwk"].to_string().into_bytes());
            for form in ["pem", "certificate", "pkcs1"] {
                forms.extend(entry[form].as_str().map(|pem| pem.as_bytes().to_vec()));
            }
            assert!(forms.len() >= 3);
        }
        for form in forms {
            let key = Key::read(algorithm, Some("k"), &form).unwrap();
            assert!(checks(&key, token), "{algorithm} {}", String::from_utf8_lossy(&form));
            assert_eq!((key.algorithm(), key.id()), (algorithm, Some("k")));
            let (message, signature) = parts(token);
            for place in [0, signature.len() / 2, signature.len() - 1] {
                let mut wrong = signature.clone();
                wrong[place] ^= 1;
                assert!(!key.verifies(message.as_bytes(), &wrong), "{algorithm} {place}");
            }
            assert!(!key.verifies(&message.as_bytes()[1..], &signature), "{algorithm}");
            assert!(!key.verifies(message.as_bytes(), &signature[1..]), "{algorithm}");
            assert!(!key.verifies(message.as_bytes(), b""), "{algorithm}");
        }
    }
}

/// RFC 7515 appendix A.1 to A.4 and RFC 8037 appendix A.4.
#[test]
fn the_examples_of_the_standards() {
    let joe =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let cases = [
        (
            Algorithm::HS256,
            r#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            joe,
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            Algorithm::RS256,
            r#"{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}"#,
            "eyJhbGciOiJSUzI1NiJ9",
            joe,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            Algorithm::ES256,
            r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9",
            joe,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
        (
            Algorithm::ES512,
            r#"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#,
            "eyJhbGciOiJFUzUxMiJ9",
            "UGF5bG9hZA",
            "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
        ),
        (
            Algorithm::EdDSA,
            r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ),
    ];
    for (algorithm, jwk, header, payload, signature) in cases {
        let key = Key::read(algorithm, None, jwk.as_bytes()).unwrap();
        assert!(checks(&key, &format!("{header}.{payload}.{signature}")), "{algorithm}");
    }
}

#[test]
fn keys_that_are_turned_away() {
    let rsa = fixtures::text("/keys/0/pem");
    let pkcs8 = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let unfit = |algorithm| KeyError::Unfit { algorithm };
    let ed = fixtures::entry(Algorithm::EdDSA)["pem"].as_str().unwrap();
    let cases = [
        (Algorithm::HS256, "x".repeat(31), KeyError::ShortSecret { algorithm: Algorithm::HS256, len: 31 }),
        (Algorithm::HS384, "x".repeat(47), KeyError::ShortSecret { algorithm: Algorithm::HS384, len: 47 }),
        (Algorithm::HS512, "x".repeat(63), KeyError::ShortSecret { algorithm: Algorithm::HS512, len: 63 }),
        (Algorithm::HS256, rsa.to_owned(), KeyError::PemAsSecret(Algorithm::HS256)),
        (Algorithm::RS256, pkcs8.to_owned(), KeyError::Private),
        (Algorithm::RS256, encrypted.to_owned(), KeyError::Private),
        (Algorithm::RS256, "x".repeat(64), KeyError::Unreadable),
        (Algorithm::RS256, String::new(), KeyError::Unreadable),
        (Algorithm::RS256, pkcs8.replace("PRIVATE KEY", "CERTIFICATE"), KeyError::Unreadable),
        (Algorithm::RS256, pkcs8.replace("PRIVATE KEY", "PUBLIC KEY"), unfit(Algorithm::RS256)),
        (Algorithm::RS256, fixtures::text("/small_rsa_pem").to_owned(), unfit(Algorithm::RS256)),
        (Algorithm::RS256, fixtures::fixtures()["small_rsa_jwk"].to_string(), unfit(Algorithm::RS256)),
        (Algorithm::ES256, fixtures::text("/k256_pem").to_owned(), unfit(Algorithm::ES256)),
        (Algorithm::ES256, rsa.to_owned(), unfit(Algorithm::ES256)),
        (Algorithm::EdDSA, rsa.to_owned(), unfit(Algorithm::EdDSA)),
        (Algorithm::RS256, ed.to_owned(), unfit(Algorithm::RS256)),
        (Algorithm::PS512, ed.to_owned(), unfit(Algorithm::PS512)),
        (Algorithm::ES384, fixtures::text("/keys/6/pem").to_owned(), unfit(Algorithm::ES384)),
        (Algorithm::RS256, r#"{"kty":"oct","k":"AAAA"}"#.to_owned(), unfit(Algorithm::RS256)),
        (Algorithm::HS256, r#"{"kty":"RSA","n":"AAAA","e":"AQAB"}"#.to_owned(), unfit(Algorithm::HS256)),
        (
            Algorithm::RS256,
            r#"{"kty":"RSA","alg":"RS512","n":"AAAA","e":"AQAB"}"#.to_owned(),
            KeyError::OtherAlgorithm(Algorithm::RS256),
        ),
    ];
    for (algorithm, bytes, expected) in cases {
        let error = Key::read(algorithm, None, bytes.as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(error, expected, "{algorithm} {bytes}");
        assert!(bytes.is_empty() || !error.to_string().contains(&bytes), "{error}");
    }
}

#[test]
fn nothing_of_a_key_is_shown() {
    let key = Key::read(Algorithm::HS256, Some("k"), &[b'S'; 40]).unwrap();
    assert_eq!(format!("{key:?}"), r#"Key { algorithm: HS256, id: Some("k"), .. }"#);
    let signing = key.signing().unwrap();
    assert_eq!(format!("{signing:?}"), "SigningKey { algorithm: HS256, .. }");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn nothing_panics(
        kind in "(-----BEGIN (PUBLIC KEY|CERTIFICATE|RSA PUBLIC KEY|X)-----\n|\\{\"kty\":\"(RSA|EC|OKP|oct)\",)?",
        rest in "(\"(n|e|x|y|crv|k|alg)\":\"[A-Za-z0-9_-]{0,40}\",){0,4}[A-Za-z0-9+/=\n]{0,80}",
        end in "(\n-----END (PUBLIC KEY|CERTIFICATE)-----\n|\"a\":1\\})?",
    ) {
        let bytes = format!("{kind}{rest}{end}");
        for algorithm in ALGORITHMS {
            let _ = Key::read(algorithm, None, bytes.as_bytes());
            let _ = SigningKey::read(algorithm, bytes.as_bytes());
        }
    }
}
