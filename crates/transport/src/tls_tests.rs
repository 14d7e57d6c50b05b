//! What is taken from files, and what is said about files that cannot be used.

use std::path::PathBuf;

use super::*;

/// A folder of this test alone, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("roomcast-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Certificate and key as PEM; the certificate ends in the year `end`.
fn make(name: &str, end: i32) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(end, 1, 1);
    (parameters.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn files(certificate: PathBuf, key: PathBuf) -> TlsFiles {
    TlsFiles { certificates: vec![CertificateFiles { certificate, key }], ..TlsFiles::default() }
}

#[test]
fn pairs_are_written_with_a_colon_or_are_one_file() {
    let parse = |text| CertificateFiles::parse(text).map(|files| (files.certificate, files.key));
    assert_eq!(parse("a.pem:b.pem"), Some(("a.pem".into(), "b.pem".into())));
    assert_eq!(parse("both.pem"), Some(("both.pem".into(), "both.pem".into())));
    for wrong in ["", ":", "a:", ":b"] {
        assert_eq!(parse(wrong), None, "{wrong}");
    }
}

#[test]
fn the_earliest_end_of_all_is_told() {
    let folder = Folder::new("expiry");
    let ((late, late_key), (soon, soon_key)) = (make("a.example", 2051), make("b.example", 2041));
    let both = folder.write("both.pem", &(late + &late_key));
    let mut all = files(both.clone(), both);
    let first = Tls::load(&all).unwrap();
    assert_eq!(first.expiry_s(), 2_556_144_000, "2051-01-01");
    let (certificate, key) = (folder.write("soon.pem", &soon), folder.write("soon.key", &soon_key));
    all.certificates.push(CertificateFiles { certificate, key });
    first.reload(&all).unwrap();
    assert_eq!(first.expiry_s(), 2_240_611_200, "2041-01-01");
    assert_eq!(all.paths().count(), 4);
}

#[test]
fn files_that_cannot_be_used_are_named_and_change_nothing() {
    let folder = Folder::new("broken");
    let ((certificate, key), (_, foreign_key)) = (make("a.example", 2050), make("a.example", 2050));
    let certificate = folder.write("a.pem", &certificate);
    let key = folder.write("a.key", &key);
    let tls = Tls::load(&files(certificate.clone(), key.clone())).unwrap();
    let before = tls.expiry_s();
    let cases = [
        (files(folder.0.join("gone.pem"), key.clone()), "gone.pem cannot be read"),
        (files(certificate.clone(), folder.0.join("gone.key")), "gone.key cannot be read"),
        (files(key.clone(), key.clone()), "a.key has no certificate in it"),
        (files(certificate.clone(), certificate.clone()), "a.pem cannot be read"),
        (files(certificate.clone(), folder.write("b.key", &foreign_key)), "cannot be used together"),
        (files(folder.write("half.pem", "-----BEGIN CERTIFICATE-----\nMII"), key.clone()), "half.pem"),
        (
            TlsFiles { client_ca: Some(folder.write("ca.pem", "")), ..files(certificate, key) },
            "ca.pem has no certificate",
        ),
    ];
    for (files, expected) in cases {
        let error = tls.reload(&files).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
    }
    assert_eq!(tls.expiry_s(), before);
}
