//! Which certificate a client is shown: the one that has the name it asks for (RFC 6066, section 3).

use std::collections::HashMap;
use std::sync::Arc;

use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;

/// Certificates by name.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    /// Names in lower case; a wildcard without its `*.`.
    exact: HashMap<String, Arc<CertifiedKey>>,
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    /// The first that was added.
    default: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Adds one for its names. Where two have the same, the earlier one is shown.
    pub(crate) fn add(&mut self, certificate: Arc<CertifiedKey>, names: Vec<String>) {
        for name in names {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix("*.") {
                Some(parent) => self.wildcard.entry(parent.to_owned()).or_insert(Arc::clone(&certificate)),
                None => self.exact.entry(name).or_insert(Arc::clone(&certificate)),
            };
        }
        self.default.get_or_insert(certificate);
    }

    /// The one for a name. A wildcard stands for one label only (RFC 9525, section 6.3).
    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let by_name = name.and_then(|name| {
            let (_, parent) = name.split_once('.').unwrap_or_default();
            self.exact.get(&name).or_else(|| self.wildcard.get(parent))
        });
        by_name.or(self.default.as_ref()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_rustls::rustls::crypto::aws_lc_rs::sign::any_supported_type;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    #[test]
    fn the_name_decides_and_the_first_is_for_the_others() {
        let mut certificates = Certificates::default();
        let lists: [&[&str]; 3] =
            [&["a.example"], &["*.example", "B.example"], &["a.example", "*.deep.example"]];
        let all: Vec<_> = lists
            .iter()
            .map(|names| {
                let pair = rcgen::KeyPair::generate().unwrap();
                let der = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
                let key = Arc::new(CertifiedKey::new(Vec::new(), any_supported_type(&der).unwrap()));
                certificates.add(Arc::clone(&key), names.iter().map(ToString::to_string).collect());
                key
            })
            .collect();
        let cases = [
            (Some("a.example"), 0),
            (Some("A.EXAMPLE"), 0),
            (Some("b.example"), 1),
            (Some("c.example"), 1),
            (Some("x.deep.example"), 2),
            (Some("deep.example"), 1),
            (Some("x.y.deep.example"), 0),
            (Some("example"), 0),
            (Some("other"), 0),
            (None, 0),
        ];
        for (name, expected) in cases {
            let found = certificates.find(name).unwrap();
            assert!(Arc::ptr_eq(&found, &all[expected]), "{name:?}");
        }
    }
}
