//! Settings of listeners and of the connection to Redis that are more than one value.

use roomcast_transport::{CertificateFiles, Tls, TlsFiles};

use super::raw::Raw;
use super::typed::Reader;

impl Reader {
    /// The files of a listener's TLS, read once to see whether they can be used.
    pub(super) fn tls(&mut self, path: &str, raw: &Raw) -> Option<TlsFiles> {
        let texts = self.texts(path);
        if texts.is_empty() {
            return None;
        }
        let certificates: Option<Vec<_>> = texts.iter().map(|text| CertificateFiles::parse(text)).collect();
        let Some(certificates) = certificates else {
            let message = format!("{path}: write \"chain.pem:key.pem\", or one file that holds both");
            self.errors.push((raw.place(path), message));
            return None;
        };
        let files = TlsFiles { certificates, client_ca: None };
        if let Err(error) = Tls::load(&files) {
            self.errors.push((raw.place(path), format!("{path}: {error}")));
        }
        Some(files)
    }
}
