//! Where Redis is, how to be let in, and how long to wait for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use tokio_rustls::rustls::crypto::aws_lc_rs;

use crate::files;
use crate::tls::RedisTlsFiles;

/// How to reach Redis.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    info: ConnectionInfo,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) prefix: String,
    pub(crate) timeout: Duration,
    /// `None` for plain connections.
    pub(crate) tls: Option<RedisTlsFiles>,
    /// Comes before a password in the URL; read for every connection.
    password_file: Option<PathBuf>,
}

/// Why Redis cannot be reached as it was configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not a Redis URL at all.
    #[error("{0}; write redis://[user:password@]host:port[/database], or rediss:// for TLS")]
    Url(String),
    /// A kind of connection that this version does not make.
    #[error("only redis:// and rediss:// over TCP can be used, not {0}")]
    Scheme(&'static str),
    /// The URL asks for TLS that proves nothing.
    #[error("#insecure cannot be used: name the server's authority instead, in broker.tls.ca")]
    Insecure,
    /// Files for TLS beside a URL without it.
    #[error("broker.tls has no effect without TLS: write rediss:// instead of redis://")]
    PlainUrl,
    /// Files for TLS that cannot be used.
    #[error("TLS to Redis: {0}")]
    Tls(String),
    /// The file with the password cannot be read.
    #[error("the password's file {0} cannot be read: {1}")]
    Password(String, String),
}

impl RedisConfig {
    /// Reads a URL. `prefix` goes before room names to make channel names; `timeout` is how long
    /// any answer, and any silence, may last.
    pub fn new(url: &str, prefix: &str, timeout: Duration) -> Result<Self, ConfigError> {
        let info = url.into_connection_info().map_err(|e| ConfigError::Url(e.to_string()))?.set_tcp_settings(
            // Without it every question waits for the acknowledgement of the one before.
            TcpSettings::default().set_nodelay(true),
        );
        let (host, port, tls) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), *port, None),
            ConnectionAddr::TcpTls { insecure: true, .. } => return Err(ConfigError::Insecure),
            ConnectionAddr::TcpTls { host, port, .. } => {
                (host.clone(), *port, Some(RedisTlsFiles::default()))
            }
            _ => return Err(ConfigError::Scheme("a Unix socket")),
        };
        Ok(Self { info, host, port, prefix: prefix.to_owned(), timeout, tls, password_file: None })
    }

    /// Takes files for TLS, and reads them once to see whether they can be used.
    pub fn with_tls(mut self, files: RedisTlsFiles) -> Result<Self, ConfigError> {
        if self.tls.is_none() {
            let nothing = files == RedisTlsFiles::default();
            return if nothing { Ok(self) } else { Err(ConfigError::PlainUrl) };
        }
        files.client_config()?;
        self.tls = Some(files);
        Ok(self)
    }

    /// Takes the password from the first line of a file, and reads it once to see whether it is there.
    pub fn with_password_file(mut self, path: &Path) -> Result<Self, ConfigError> {
        self.password_file = Some(path.to_owned());
        self.login()?;
        Ok(self)
    }

    /// Host and port, for messages: never the password.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// User, password and database. Blocks while it reads the password's file.
    pub(crate) fn login(&self) -> Result<RedisConnectionInfo, ConfigError> {
        let login = self.info.redis_settings().clone();
        let Some(path) = &self.password_file else { return Ok(login) };
        let text = files::read_text(path)
            .map_err(|error| ConfigError::Password(path.display().to_string(), error.to_string()))?;
        Ok(login.set_password(text.lines().next().unwrap_or_default()))
    }

    /// What the `redis` crate makes connections of its own with.
    pub(crate) fn client_info(&self) -> Result<ConnectionInfo, String> {
        let info = self.info.clone().set_redis_settings(self.login().map_err(|e| e.to_string())?);
        let Some(tls) = &self.tls else { return Ok(info) };
        // The crate has no way to be told, and takes the process' default. An error says that there is one.
        let _ = aws_lc_rs::default_provider().install_default();
        let certificates = tls.redis_certificates().map_err(|e| e.to_string())?;
        let client = Client::build_with_tls(info, certificates).map_err(|e| e.to_string())?;
        Ok(client.get_connection_info().clone())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn parse(url: &str) -> Result<RedisConfig, ConfigError> {
        RedisConfig::new(url, "room:", Duration::from_secs(1))
    }

    #[test]
    fn urls() {
        let address = |url| parse(url).map(|config| (config.address(), config.tls.is_some()));
        assert_eq!(address("redis://127.0.0.1:6379").unwrap(), ("127.0.0.1:6379".to_owned(), false));
        assert_eq!(address("redis://u:secret@redis/2").unwrap(), ("redis:6379".to_owned(), false));
        assert_eq!(address("rediss://u:secret@redis:6380").unwrap(), ("redis:6380".to_owned(), true));
        assert_eq!(address("rediss://redis:6380/#insecure"), Err(ConfigError::Insecure));
        assert_eq!(address("redis+unix:///tmp/x"), Err(ConfigError::Scheme("a Unix socket")));
        for wrong in ["", "localhost", "http://localhost", "redis://h:99999"] {
            assert!(address(wrong).unwrap_err().to_string().contains("redis://[user"), "{wrong}");
        }
    }

    #[test]
    fn files_have_to_be_there_and_to_make_sense() {
        let ca = RedisTlsFiles { ca: Some("/nowhere/ca.pem".into()), identity: None };
        let plain = parse("redis://redis").unwrap();
        assert_eq!(plain.clone().with_tls(ca.clone()).unwrap_err(), ConfigError::PlainUrl);
        assert!(plain.clone().with_tls(RedisTlsFiles::default()).is_ok());
        let error = parse("rediss://redis").unwrap().with_tls(ca).unwrap_err();
        assert!(error.to_string().contains("/nowhere/ca.pem cannot be read"), "{error}");
        let error = plain.with_password_file(Path::new("/nowhere/password")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/password cannot be read"), "{error}");
    }

    #[test]
    fn a_password_file_comes_before_the_url() {
        let path = std::env::temp_dir().join(format!("roomcast-password-{}", std::process::id()));
        fs::write(&path, "sec ret\n").unwrap();
        let config = parse("redis://user:other@redis").unwrap().with_password_file(&path).unwrap();
        let login = config.login().unwrap();
        assert_eq!((login.username(), login.password()), (Some("user"), Some("sec ret")));
        fs::remove_file(&path).unwrap();
        assert!(config.login().is_err());
    }
}
