//! TLS to Redis: whom to trust, and what to show.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redis::{ClientTlsConfig, TlsCertificates};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::config::ConfigError;
use crate::files;

/// PEM files for `rediss://`. They are read again for every connection, so that renewed ones need nothing
/// else. The server's certificate and its name are always verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedisTlsFiles {
    /// The authorities to trust. None: those of the operating system.
    pub ca: Option<PathBuf>,
    /// This node's certificate and key, where the server asks for them.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl RedisTlsFiles {
    /// What connections of our own are made with. Blocks while it reads files.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, ConfigError> {
        // Named here and not left to the process' default, which any library may set.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::Tls(error.to_string()))?
            .with_root_certificates(self.roots()?);
        let Some((certificate, key)) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = read_certificates(certificate)?;
        let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| unreadable(key, &error))?;
        builder.with_client_auth_cert(chain, private).map_err(|error| {
            let (certificate, key) = (certificate.display(), key.display());
            ConfigError::Tls(format!("{certificate} and {key} cannot be used together: {error}"))
        })
    }

    fn roots(&self) -> Result<RootCertStore, ConfigError> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                for certificate in read_certificates(path)? {
                    roots.add(certificate).map_err(|error| unreadable(path, &error))?;
                }
            }
            None => {
                // Systems have certificates in their stores that cannot be read; the others do.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    let message = "the operating system has no authorities to trust; name a file";
                    return Err(ConfigError::Tls(message.to_owned()));
                }
            }
        }
        Ok(roots)
    }

    /// The same for connections that the `redis` crate makes.
    pub(crate) fn redis_certificates(&self) -> Result<TlsCertificates, ConfigError> {
        let identity = |(certificate, key): &(PathBuf, PathBuf)| {
            Ok(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
        };
        Ok(TlsCertificates {
            client_tls: self.identity.as_ref().map(identity).transpose()?,
            root_cert: self.ca.as_deref().map(read).transpose()?,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    files::read(path).map_err(|error| unreadable(path, &error))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(path, &error))?;
    if certificates.is_empty() {
        return Err(ConfigError::Tls(format!("{} has no certificate in it; it must be PEM", path.display())));
    }
    Ok(certificates)
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Tls(format!("{} cannot be read: {error}", path.display()))
}
