//! TLS of a listener: certificates and keys from files, chosen by the name that the client asks for.
//!
//! What is loaded can be replaced while connections go on: each handshake takes what holds then.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, rustls};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use crate::certificates::Certificates;

/// Most certificates of a listener: each is read and held whole.
const CERTIFICATES_MAX: usize = 256;

/// What clients may speak behind TLS (RFC 7301), the better one first.
const HTTP2_TOO: &[&[u8]] = &[b"h2", b"http/1.1"];
const HTTP1_ONLY: &[&[u8]] = &[b"http/1.1"];

/// Where a certificate, with its chain, and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM; the certificate of the server first, then those that lead to the authority.
    pub certificate: PathBuf,
    /// PEM; may be the same file.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Reads `CERTIFICATE:KEY`, or one path for a file that holds both.
    pub fn parse(text: &str) -> Option<Self> {
        let (certificate, key) = text.split_once(':').unwrap_or((text, text));
        if certificate.is_empty() || key.is_empty() {
            return None;
        }
        Some(Self { certificate: certificate.into(), key: key.into() })
    }
}

/// The files that a listener's TLS is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The first is for clients that ask for no name, or for one that no certificate has.
    pub certificates: Vec<CertificateFiles>,
    /// PEM; clients must show a certificate of one of these authorities. None: clients show nothing.
    pub client_ca: Option<PathBuf>,
    /// Whether the listener speaks HTTP/2 too.
    pub http2: bool,
}

impl TlsFiles {
    /// All paths, for whoever watches them.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.certificates.iter().flat_map(|files| [&*files.certificate, &*files.key]);
        pairs.chain(self.client_ca.as_deref())
    }
}

/// Why files cannot be used. A sentence that names the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

/// What a listener needs to speak TLS.
pub struct Tls {
    loaded: ArcSwap<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    expiry_s: u64,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("expiry_s", &self.expiry_s()).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files. Blocks for as long as that takes.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { loaded: ArcSwap::from_pointee(Loaded::read(files)?) })
    }

    /// Reads them again, or others; connections that stand keep what they have. On an error
    /// everything stays as it was.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), TlsError> {
        self.loaded.store(Arc::new(Loaded::read(files)?));
        Ok(())
    }

    /// When the first of the certificates ends, in seconds since 1970.
    pub fn expiry_s(&self) -> u64 {
        self.loaded.load().expiry_s
    }

    /// What the next handshake is made with.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.loaded.load().config))
    }
}

impl Loaded {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        if files.certificates.len() > CERTIFICATES_MAX {
            return Err(TlsError(format!("there may be {CERTIFICATES_MAX} certificates at most")));
        }
        // Named here and not left to the process' default, which any library may set.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut certificates = Certificates::default();
        let mut expiry_s = u64::MAX;
        for files in &files.certificates {
            let chain = read_certificates(&files.certificate)?;
            let (names, ends_s) = describe(&chain, &files.certificate)?;
            expiry_s = expiry_s.min(ends_s);
            certificates.add(Arc::new(certified_key(chain, files, &provider)?), names);
        }
        let config = server_config(files, certificates, provider)?;
        Ok(Self { config: Arc::new(config), expiry_s })
    }
}

fn server_config(
    files: &TlsFiles,
    certificates: Certificates,
    provider: Arc<CryptoProvider>,
) -> Result<ServerConfig, TlsError> {
    let failed = |error: &dyn fmt::Display| TlsError(format!("TLS cannot be set up: {error}"));
    // TLS 1.2 and 1.3; rustls has nothing older.
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(authorities(path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| TlsError(format!("{}: {error}", path.display())))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    let protocols = if files.http2 { HTTP2_TOO } else { HTTP1_ONLY };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    // Clients that come back carry their session themselves, in a ticket whose key changes every six
    // hours: nothing is kept for them here, however many there are. No early data: it can be replayed.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| failed(&error))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// The certificates of a PEM file; at least one.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error: rustls::pki_types::pem::Error| cannot_read(path, &error);
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if chain.is_empty() {
        return Err(TlsError(format!("{} has no certificate in it; it must be PEM", path.display())));
    }
    Ok(chain)
}

fn certified_key(
    chain: Vec<CertificateDer<'static>>,
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| cannot_read(&files.key, &error))?;
    // Also checks that they belong together: files that are replaced one after the other may not, for a moment.
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        TlsError(format!("the certificate {certificate} and the key {key} cannot be used together: {error}"))
    })
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| TlsError(format!("{}: {error}", path.display())))?;
    }
    Ok(roots)
}

/// The names of the first certificate of a chain, and when the first of all ends, in seconds since 1970.
fn describe(chain: &[CertificateDer<'_>], path: &Path) -> Result<(Vec<String>, u64), TlsError> {
    let mut names = Vec::new();
    let mut ends_s = u64::MAX;
    for (index, der) in chain.iter().enumerate() {
        let (_, certificate) = parse_x509_certificate(der)
            .map_err(|error| TlsError(format!("{} has a broken certificate: {error}", path.display())))?;
        let end = certificate.validity().not_after.timestamp();
        ends_s = ends_s.min(u64::try_from(end).unwrap_or(0));
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        if let Some(alternatives) = alternatives.filter(|_| index == 0) {
            names.extend(alternatives.value.general_names.iter().filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            }));
        }
    }
    Ok((names, ends_s))
}

fn cannot_read(path: &Path, error: &dyn fmt::Display) -> TlsError {
    TlsError(format!("{} cannot be read as PEM: {error}", path.display()))
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
