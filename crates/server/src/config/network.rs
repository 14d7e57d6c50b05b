//! Settings of listeners and of the connection to Redis that are more than one value.

use std::path::PathBuf;

use roomcast_broker_redis::{ConfigError as RedisError, RedisConfig, RedisTlsFiles};
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

    /// How to reach Redis; `None` for the embedded broker.
    pub(super) fn redis(&mut self, raw: &Raw) -> Option<RedisConfig> {
        let url = self.text("broker.url");
        if url.is_empty() {
            return None;
        }
        let result = self.read_redis(&url);
        result.map_err(|(path, error)| self.errors.push((raw.place(path), format!("{path}: {error}")))).ok()
    }

    /// On an error, the setting that is the cause.
    fn read_redis(&self, url: &str) -> Result<RedisConfig, (&'static str, RedisError)> {
        let file =
            |path: &str| Some(PathBuf::from(self.text(path))).filter(|file| !file.as_os_str().is_empty());
        let redis = RedisConfig::new(url, &self.text("broker.prefix"), self.duration("broker.timeout"))
            .map_err(|error| ("broker.url", error))?;
        let redis = match file("broker.password_file") {
            Some(path) => redis.with_password_file(&path).map_err(|error| ("broker.password_file", error))?,
            None => redis,
        };
        let identity = match (file("broker.tls.certificate"), file("broker.tls.key")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                let message = "a certificate and its key go together: set both or none".to_owned();
                return Err(("broker.tls.certificate", RedisError::Tls(message)));
            }
        };
        let ca = file("broker.tls.ca");
        let blamed = if ca.is_some() { "broker.tls.ca" } else { "broker.tls.certificate" };
        redis.with_tls(RedisTlsFiles { ca, identity }).map_err(|error| (blamed, error))
    }
}
