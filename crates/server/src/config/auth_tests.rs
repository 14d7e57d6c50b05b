//! Keys from texts, and every way to write them wrongly.

use std::path::Path;

use xtask::process::scratch_folder;

use super::super::{Config, Raw};
use super::*;

/// A public key whose private half nobody has.
const PEM: &str = include_str!("../../tests/keys/es256.pem");
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn environment(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some(format!("{SECRET}\n")),
        "PEM" => Some(PEM.to_owned()),
        _ => None,
    }
}

fn key(text: &str) -> Result<(Algorithm, Option<String>), String> {
    let key = KeyText::read(text, &environment)?.key()?;
    Ok((key.algorithm(), key.id().map(str::to_owned)))
}

fn file_in(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn keys_from_everywhere() {
    let named = |id: &str| Some(id.to_owned());
    let folder = scratch_folder("keys").unwrap();
    let file = file_in(&folder, "secret", format!("{SECRET}\r\n").as_bytes());
    let pem = file_in(&folder, "es256.pem", PEM.as_bytes());
    let jwk =
        r#"{"kty":"OKP","crv":"Ed25519","kid":"own","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let cases = [
        (format!("HS256:text:{SECRET}"), (Algorithm::HS256, None)),
        (format!("HS256/a:text:{SECRET}"), (Algorithm::HS256, named("a"))),
        (format!("HS256/urn:x:y:text:{SECRET}"), (Algorithm::HS256, named("urn:x:y"))),
        (format!("HS256:text:a:env:{SECRET}"), (Algorithm::HS256, None)),
        ("HS256:env:SECRET".to_owned(), (Algorithm::HS256, None)),
        (format!("HS256:file:{file}"), (Algorithm::HS256, None)),
        ("HS256:base64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned(), (Algorithm::HS256, None)),
        ("HS256:base64:__8CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8".to_owned(), (Algorithm::HS256, None)),
        (format!("ES256/2026-1:file:{pem}"), (Algorithm::ES256, named("2026-1"))),
        (format!("ES256:text:{PEM}"), (Algorithm::ES256, None)),
        ("ES256:env:PEM".to_owned(), (Algorithm::ES256, None)),
        (format!("EdDSA:text:{jwk}"), (Algorithm::EdDSA, named("own"))),
        (format!("EdDSA/mine:text:{jwk}"), (Algorithm::EdDSA, named("mine"))),
    ];
    for (text, expected) in cases {
        assert_eq!(key(&text), Ok(expected), "{text}");
    }
}

#[test]
fn line_breaks_at_the_end_of_files_and_variables_are_not_meant() {
    let folder = scratch_folder("keys").unwrap();
    let file = file_in(&folder, "secret", format!("{SECRET}\n").as_bytes());
    for text in [format!("HS256:file:{file}"), "HS256:env:SECRET".into()] {
        assert_eq!(KeyText::read(&text, &environment).unwrap().bytes, SECRET.as_bytes());
    }
    let text = format!("HS256:text:{SECRET}\n");
    assert_eq!(KeyText::read(&text, &environment).unwrap().bytes.len(), SECRET.len() + 1);
}

#[test]
fn wrong_keys_are_told_what_is_right_and_never_shown() {
    let folder = scratch_folder("keys").unwrap();
    let big = file_in(&folder, "big", &vec![b'x'; 70_000]);
    let cases = [
        ("zebrazebrazebrazebrazebrazebrazebra", "must be ALG:SOURCE:VALUE"),
        ("zebra:text:zebra", "must be ALG:SOURCE:VALUE"),
        ("none:text:zebra", "must be ALG:SOURCE:VALUE"),
        ("HS256:zebra", "must be ALG:SOURCE:VALUE"),
        ("HS256:vault:zebra", "must be ALG:SOURCE:VALUE"),
        ("HS256zebra:text:zebra", "must be ALG:SOURCE:VALUE"),
        ("HS256:x:text:zebra", "must be ALG:SOURCE:VALUE"),
        ("HS256/:text:zebra", "empty KID"),
        ("HS256:text:zebra", "has 5 bytes, HS256 needs 32 at least"),
        ("HS512:env:SECRET", "has 32 bytes, HS512 needs 64"),
        ("HS256:env:NOWHERE", "the environment variable NOWHERE is not set"),
        ("HS256:file:/no/where", "cannot read /no/where: "),
        ("HS256:base64:zebra!", "is not base64"),
        ("HS256:env:PEM", "a PEM file is not a secret"),
        ("RS256:env:PEM", "not a key for RS256, which takes an RSA key of 2048 to 8192 bits"),
        ("RS256:text:zebra", "neither a PEM file"),
        (&format!("HS256:file:{big}"), "more than 65536 bytes"),
    ];
    for (text, expected) in cases {
        let error = key(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("zebra"), "{error}");
    }
}

fn read(toml: &str) -> Result<Config, Vec<String>> {
    let mut raw = Raw::default();
    raw.toml("roomcast.toml", toml);
    Config::from_raw(raw, &environment).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[test]
fn settings_of_tokens() {
    let toml = r#"
[auth]
keys = ["HS256:env:SECRET", "ES256/k:env:PEM"]
jwks_url = "https://issuer.example/keys?x=1"
jwks_refresh = "5m"
issuer = "https://issuer.example"
audience = ["a", "b"]
leeway = "10s"
expiry = "optional"
cookie = "token"
"#;
    let auth = read(toml).unwrap().auth;
    assert_eq!(auth.access.keys.keys().len(), 2);
    assert_eq!(auth.access.source.as_deref(), Some("https://issuer.example/keys?x=1"));
    let rules = format!("{:?}", auth.access.rules);
    assert!(rules.contains(
        r#"Some("https://issuer.example"), audiences: ["a", "b"], leeway_s: 10, expiry: Optional"#
    ));
    assert_eq!(auth.jwks.unwrap().refresh, Duration::from_secs(300));
    assert!(read("").unwrap().auth.access.is_open());
    let shown = format!("{:?}", read(toml).unwrap());
    assert!(!shown.contains(SECRET), "a configuration can be printed");
}

#[test]
fn all_errors_of_tokens_are_reported_with_their_places() {
    let toml = r#"
[auth]
mode = "open"
keys = ["HS256:env:SECRET", "HS256:text:zebra", "zebra"]
jwks_ca = "/no/where"
jwks_url = "ftp://issuer.example"
cookie = "a b"
"#;
    let errors = read(toml).unwrap_err();
    let expected = [
        "roomcast.toml:4: auth.keys, entry 2: cannot be used for HS256: the secret has 5 bytes",
        "roomcast.toml:4: auth.keys, entry 3: must be ALG:SOURCE:VALUE",
        "roomcast.toml:5: auth.jwks_ca: cannot read /no/where",
        "roomcast.toml:6: auth.jwks_url must be a URL such as",
        "roomcast.toml:7: auth.cookie must be the name of a cookie",
        "roomcast.toml:3: auth.mode = \"open\" lets everybody in, and auth.keys asks for tokens; remove auth.mode, or remove auth.keys",
    ];
    for text in expected {
        assert!(errors.iter().any(|error| error.contains(text)), "{text} is missing in {errors:#?}");
    }
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    assert!(!errors.join(" ").contains("zebra"), "{errors:#?}");
    let open = read("auth.mode = \"open\"\nauth.jwks_url = \"http://127.0.0.1:1/\"\n").unwrap_err();
    assert!(open[0].contains("remove auth.jwks_url"), "{open:?}");
    let folder = scratch_folder("keys").unwrap();
    let no_ca = read(&format!("auth.jwks_ca = {:?}\n", file_in(&folder, "x.pem", b"x"))).unwrap_err();
    assert!(no_ca[0].contains("no certificate"), "{no_ca:?}");
    for url in ["", "x", "https://", "https:///x", "https://u:p@h/", "//h/x", "/x"] {
        assert!(jwks_url(url).is_err(), "{url}");
    }
}

#[test]
fn too_many_keys_to_try_is_an_error() {
    let many = |count: usize, id: bool| {
        let text = |n| if id { format!("HS256/{n}:env:SECRET") } else { "HS256:env:SECRET".to_owned() };
        keys(&(0..count).map(text).collect::<Vec<_>>(), &environment)
    };
    assert!(many(ATTEMPTS_MAX, false).is_ok());
    assert!(many(ATTEMPTS_MAX + 1, false).unwrap_err()[0].contains("ALG/KID:SOURCE:VALUE"));
    assert!(many(KEYS_MAX, true).is_ok());
    assert!(many(KEYS_MAX + 1, true).unwrap_err()[0].contains("64 keys at most"));
}
