//! Keys and rules of tokens, from the settings.

use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hyper::Uri;
use hyper::http::uri::Scheme;
use roomcast_session::auth::{ATTEMPTS_MAX, Access, Algorithm, KEYS_MAX, Key, KeySet, SigningKey};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

/// Longest key file, in bytes: certificates and JWKs have a few thousand.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads an environment variable.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What there is to know about tokens.
#[derive(Debug, Clone)]
pub(crate) struct AuthConfig {
    pub(crate) access: Access,
    /// Keys that others publish, if any.
    pub(crate) jwks: Option<JwksConfig>,
}

/// Where an issuer publishes its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JwksConfig {
    pub(crate) url: Uri,
    /// How long keys may be used before they are fetched again.
    pub(crate) refresh: Duration,
    /// Authorities to trust besides those that everybody trusts.
    pub(crate) authorities: Vec<CertificateDer<'static>>,
}

/// A key as it is written: `ALG[/KID]:SOURCE:VALUE`.
pub(crate) struct KeyText {
    algorithm: Algorithm,
    id: Option<String>,
    bytes: Vec<u8>,
}

impl KeyText {
    /// Takes the text apart and gets the key from where it is. Errors do not repeat the text, which
    /// may be the key.
    pub(crate) fn read(text: &str, environment: Lookup<'_>) -> Result<Self, String> {
        let shape = || {
            format!(
                "must be ALG:SOURCE:VALUE or ALG/KID:SOURCE:VALUE, such as \"HS256:env:JWT_SECRET\" or \"ES256/2026-1:file:/etc/roomcast/jwt.pem\"; ALG is one of {}, SOURCE is text, file, env or base64",
                Algorithm::names()
            )
        };
        let end = text.find(['/', ':']).ok_or_else(shape)?;
        let algorithm = Algorithm::parse(text[..end].trim()).ok_or_else(shape)?;
        let (id, source, value) = sourced(&text[end..]).ok_or_else(shape)?;
        if id == Some("") {
            return Err("has an empty KID; leave out the / for a key without one".to_owned());
        }
        let bytes = match source {
            "text" => value.as_bytes().to_vec(),
            "file" => trimmed(file(value)?),
            "env" => trimmed(
                environment(value)
                    .ok_or_else(|| format!("the environment variable {value} is not set"))?
                    .into_bytes(),
            ),
            _ => base64(value).ok_or("its VALUE is not base64")?,
        };
        Ok(Self { algorithm, id: id.map(str::to_owned), bytes })
    }

    /// As a key that checks tokens.
    pub(crate) fn key(&self) -> Result<Key, String> {
        Key::read(self.algorithm, self.id.as_deref(), &self.bytes).map_err(|error| self.said(&error))
    }

    /// As a key that makes tokens, with its `kid`.
    pub(crate) fn signing(self) -> Result<(SigningKey, Option<String>), String> {
        let key = SigningKey::read(self.algorithm, &self.bytes).map_err(|error| self.said(&error))?;
        Ok((key, self.id))
    }

    fn said(&self, error: &dyn std::fmt::Display) -> String {
        format!("cannot be used for {}: {error}", self.algorithm)
    }
}

/// `KID`, `SOURCE` and `VALUE` of `[/KID]:SOURCE:VALUE`. A KID may have colons in it.
fn sourced(rest: &str) -> Option<(Option<&str>, &str, &str)> {
    let marks = [":text:", ":file:", ":env:", ":base64:"];
    let (at, mark) = marks.iter().filter_map(|mark| Some((rest.find(mark)?, mark))).min()?;
    let (id, value) = (&rest[..at], &rest[at + mark.len()..]);
    let id = match id.strip_prefix('/') {
        None if !id.is_empty() => return None,
        id => id,
    };
    Some((id, mark.trim_matches(':'), value))
}

fn file(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("cannot read {path}: {error}")),
        Ok(len) if len as u64 > FILE_BYTES_MAX => {
            Err(format!("{path} has more than {FILE_BYTES_MAX} bytes; that is not a key"))
        }
        Ok(_) => Ok(bytes),
    }
}

/// Editors and `echo` end a file with a line break that is not meant.
fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    bytes
}

/// Either alphabet, with padding or without.
fn base64(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.trim().replace('-', "+").replace('_', "/");
    GeneralPurpose::new(&STANDARD, config).decode(text).ok()
}

/// The keys of `auth.keys`. Errors name the entry by its place in the list.
pub(crate) fn keys(texts: &[String], environment: Lookup<'_>) -> Result<KeySet, Vec<String>> {
    let (mut keys, mut errors) = (Vec::new(), Vec::new());
    for (place, text) in texts.iter().enumerate() {
        match KeyText::read(text, environment).and_then(|text| text.key()) {
            Ok(key) => keys.push(key),
            Err(message) => errors.push(format!("auth.keys, entry {}: {message}", place + 1)),
        }
    }
    if texts.len() > KEYS_MAX {
        errors.push(format!("auth.keys may have {KEYS_MAX} keys at most"));
    }
    let nameless = |key: &&Key| key.id().is_none();
    for key in keys.iter().filter(nameless) {
        let alike = keys.iter().filter(nameless).filter(|other| other.algorithm() == key.algorithm());
        if alike.count() > ATTEMPTS_MAX {
            let message = "auth.keys has too many keys without a KID for one algorithm, and each token would be tried with all of them; write ALG/KID:SOURCE:VALUE";
            errors.push(message.to_owned());
            break;
        }
    }
    if errors.is_empty() { Ok(KeySet::new(keys)) } else { Err(errors) }
}

/// The URL of a JWK set.
pub(crate) fn jwks_url(text: &str) -> Result<Uri, String> {
    let shape = || "must be a URL such as \"https://issuer.example/.well-known/jwks.json\"".to_owned();
    web_url(text).ok_or_else(shape)
}

/// A URL of HTTP with a host, and without a password.
pub(crate) fn web_url(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let has_scheme = [Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&url.scheme());
    let authority = url.authority().map_or("", |authority| authority.as_str());
    (has_scheme && !authority.is_empty() && !authority.contains('@')).then_some(url)
}

/// The certificates of a PEM file; none for an empty path.
pub(crate) fn authorities(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file(path)?).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(format!("{path} has no certificate in PEM")),
    }
}

/// Whether a text can name a cookie (RFC 6265 section 4.1.1); empty is none.
pub(crate) fn is_cookie_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
