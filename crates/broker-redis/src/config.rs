//! Where Redis is and how long to wait for it.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// How to reach Redis.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    pub(crate) info: ConnectionInfo,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) prefix: String,
    pub(crate) timeout: Duration,
}

/// Why a URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not a Redis URL at all.
    #[error("{0}; write redis://[user:password@]host:port[/database]")]
    Url(String),
    /// A kind of connection that this version does not make.
    #[error("only redis:// over TCP can be used, not {0}")]
    Scheme(&'static str),
}

impl RedisConfig {
    /// Reads a URL. `prefix` goes before room names to make channel names; `timeout` is how long
    /// any answer, and any silence, may last.
    pub fn new(url: &str, prefix: &str, timeout: Duration) -> Result<Self, ConfigError> {
        let info = url.into_connection_info().map_err(|e| ConfigError::Url(e.to_string()))?.set_tcp_settings(
            // Without it every publication waits for the acknowledgement of the one before.
            TcpSettings::default().set_nodelay(true),
        );
        let (host, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) => (host.clone(), *port),
            ConnectionAddr::TcpTls { .. } => return Err(ConfigError::Scheme("rediss:// (TLS)")),
            _ => return Err(ConfigError::Scheme("a Unix socket")),
        };
        Ok(Self { info, host, port, prefix: prefix.to_owned(), timeout })
    }

    /// Host and port, for messages: never the password.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(crate) fn client(&self) -> redis::RedisResult<Client> {
        Client::open(self.info.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<String, ConfigError> {
        RedisConfig::new(url, "room:", Duration::from_secs(1)).map(|c| c.address())
    }

    #[test]
    fn urls() {
        assert_eq!(parse("redis://127.0.0.1:6379").unwrap(), "127.0.0.1:6379");
        assert_eq!(parse("redis://u:secret@redis/2").unwrap(), "redis:6379");
        assert_eq!(parse("redis+unix:///tmp/x"), Err(ConfigError::Scheme("a Unix socket")));
        for wrong in ["", "localhost", "http://localhost", "redis://h:99999"] {
            assert!(parse(wrong).unwrap_err().to_string().contains("redis://[user"), "{wrong}");
        }
    }
}
