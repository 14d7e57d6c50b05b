//! Settings of listeners and of the connection to Redis that are more than one value.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use roomcast_broker_redis::{ConfigError as RedisError, RedisConfig, RedisTlsFiles};
use roomcast_session::Rate;
use roomcast_transport::{CertificateFiles, GateSettings, Tls, TlsFiles};

use super::raw::Raw;
use super::typed::Reader;

impl Reader {
    /// The files of a listener's TLS, read once to see whether they can be used. `client_ca` is the setting of
    /// the admin listener, which speaks HTTP/1.1 only.
    pub(super) fn tls(&mut self, path: &str, client_ca: Option<&str>, raw: &Raw) -> Option<TlsFiles> {
        let ca = client_ca.and_then(|setting| Some((setting, self.file(setting)?)));
        let texts = self.texts(path);
        if texts.is_empty() {
            if let Some((setting, _)) = ca {
                let message = format!("{setting} has no effect without {path}");
                self.errors.push((raw.place(setting), message));
            }
            return None;
        }
        let certificates: Option<Vec<_>> = texts.iter().map(|text| CertificateFiles::parse(text)).collect();
        let Some(certificates) = certificates else {
            let message = format!("{path}: write \"chain.pem:key.pem\", or one file that holds both");
            self.errors.push((raw.place(path), message));
            return None;
        };
        let files =
            TlsFiles { certificates, client_ca: ca.map(|(_, file)| file), http2: client_ca.is_none() };
        if let Err(error) = Tls::load(&files) {
            self.errors.push((raw.place(path), format!("{path}: {error}")));
        }
        Some(files)
    }

    /// The path in a setting; `None` where it is empty.
    fn file(&self, setting: &str) -> Option<PathBuf> {
        Some(PathBuf::from(self.text(setting))).filter(|file| !file.as_os_str().is_empty())
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
        let redis = RedisConfig::new(url, &self.text("broker.prefix"), self.duration("broker.timeout"))
            .map_err(|error| ("broker.url", error))?;
        let redis = match self.file("broker.password_file") {
            Some(path) => redis.with_password_file(&path).map_err(|error| ("broker.password_file", error))?,
            None => redis,
        };
        let identity = match (self.file("broker.tls.certificate"), self.file("broker.tls.key")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                let message = "a certificate and its key go together: set both or none".to_owned();
                return Err(("broker.tls.certificate", RedisError::Tls(message)));
            }
        };
        let ca = self.file("broker.tls.ca");
        let blamed = if ca.is_some() { "broker.tls.ca" } else { "broker.tls.certificate" };
        redis.with_tls(RedisTlsFiles { ca, identity }).map_err(|error| (blamed, error))
    }

    /// Who is let in, and how fast.
    pub(super) fn gate(&mut self, raw: &Raw) -> GateSettings {
        let path = "server.trusted_proxies";
        let mut trusted_proxies = Vec::new();
        for text in self.texts(path) {
            match network(&text) {
                Some(network) => trusted_proxies.push(network),
                None => {
                    let message = format!(
                        "{path}: {text:?} is no address; write one such as \"10.0.0.7\", or a network such as \"10.0.0.0/8\""
                    );
                    self.errors.push((raw.place(path), message));
                }
            }
        }
        let proxy_protocol = self.text("server.proxy_protocol") == "required";
        if proxy_protocol && self.texts(path).is_empty() {
            let message =
                "server.proxy_protocol lets in nobody but server.trusted_proxies, and there are none";
            self.errors.push((raw.place("server.proxy_protocol"), message.to_owned()));
        }
        GateSettings {
            per_address_max: self.number("limits.connections_per_address"),
            handshakes: Rate {
                per_second: self.number("limits.handshakes_per_second") as u64,
                burst: self.number("limits.handshakes_burst") as u64,
            },
            first_byte: self.duration("limits.first_byte"),
            headers: self.duration("limits.headers"),
            body: self.duration("limits.body"),
            target_bytes: self.number("limits.target_bytes"),
            header_bytes: self.number("limits.header_bytes"),
            trusted_proxies,
            proxy_protocol,
        }
    }
}

/// A network, or one address.
fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| Some(text.parse::<IpAddr>().ok()?.to_canonical().into()))
}
