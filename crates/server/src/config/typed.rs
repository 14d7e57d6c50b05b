//! The configuration as the program uses it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use roomcast_broker::Retention;
use roomcast_broker_redis::RedisConfig;
use roomcast_hub::OverflowPolicy;
use roomcast_protocol::limits::ENVELOPE_BYTES_MAX;
use roomcast_session::{Namespace, Namespaces, PublishRule, Settings};
use roomcast_transport::HttpSettings;

use super::keys::{DEFAULT_NAMESPACE, KEYS, NAMESPACE_KEYS};
use super::raw::{ConfigError, Raw, namespace_option};
use super::value::{Value, Written};

/// Everything that was decided, by the operator or by default.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) admin_listen: SocketAddr,
    /// Empty for none.
    pub(crate) admin_key: String,
    /// 0 for one a core.
    pub(crate) cores: usize,
    /// 0 for as many as descriptors allow.
    pub(crate) connections_max: usize,
    /// `None` for the embedded broker.
    pub(crate) redis: Option<RedisConfig>,
    pub(crate) drain_window: Duration,
    pub(crate) log_level: String,
    pub(crate) log_format: LogFormat,
    pub(crate) session: Settings,
    pub(crate) http: HttpSettings,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// Checks everything that was set, and reports all that is wrong at once.
    pub(crate) fn from_raw(mut raw: Raw) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader { values: HashMap::new(), errors: Vec::new() };
        for (path, key, sourced) in raw.all() {
            match key.kind.read(&sourced.written) {
                Ok(value) => drop(reader.values.insert(path.to_owned(), value)),
                Err(message) => reader.errors.push((sourced.place.clone(), format!("{path} {message}"))),
            }
        }
        let config = reader.config(&raw);
        for (place, message) in reader.errors {
            raw.error(place, message);
        }
        let errors = raw.into_errors();
        match config {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(errors),
        }
    }

    fn is_open_beyond_loopback(&self, auth_mode: &str) -> bool {
        !self.listen.ip().is_loopback() && auth_mode != "open"
    }
}

struct Reader {
    values: HashMap<String, Value>,
    errors: Vec<(String, String)>,
}

impl Reader {
    fn config(&mut self, raw: &Raw) -> Option<Config> {
        let place = |path: &str| raw.get(path).map_or_else(|| "default".to_owned(), |s| s.place.clone());
        let timeout = self.duration("broker.timeout");
        let redis = match &*self.text("broker.url") {
            "" => None,
            url => match RedisConfig::new(url, &self.text("broker.prefix"), timeout) {
                Ok(redis) => Some(redis),
                Err(error) => {
                    self.errors.push((place("broker.url"), format!("broker.url: {error}")));
                    None
                }
            },
        };
        if self.text("broker.prefix").is_empty() {
            let message = "broker.prefix must not be empty: it keeps rooms apart from other channels";
            self.errors.push((place("broker.prefix"), message.to_owned()));
        }
        let config = Config {
            listen: self.address("server.listen"),
            admin_listen: self.address("admin.listen"),
            admin_key: self.text("admin.key"),
            cores: self.number("server.cores"),
            connections_max: self.number("limits.connections"),
            redis,
            drain_window: self.duration("drain.window"),
            log_level: self.text("log.level"),
            log_format: if self.text("log.format") == "json" { LogFormat::Json } else { LogFormat::Text },
            session: Settings {
                node: self.text("node.name"),
                heartbeat: self.duration("server.heartbeat"),
                sse_retry: self.duration("sse.retry"),
                outbox_bytes: self.number("limits.outbox_bytes"),
                rooms_per_connection: self.number("limits.rooms_per_connection"),
                namespaces: self.namespaces(),
            },
            http: HttpSettings { origins: self.texts("cors.origins") },
        };
        let needed = config.session.namespaces.max_message_bytes() + ENVELOPE_BYTES_MAX;
        if config.session.outbox_bytes < needed {
            let message = format!(
                "limits.outbox_bytes must be at least {needed}, so that the largest message of any namespace fits"
            );
            self.errors.push((place("limits.outbox_bytes"), message));
        }
        if config.is_open_beyond_loopback(&self.text("auth.mode")) {
            let message = format!(
                "server.listen = {} would open every room to whoever can connect; set auth.mode = \"open\" if that is meant, or listen on 127.0.0.1",
                config.listen
            );
            self.errors.push((place("server.listen"), message));
        }
        if config.log_level.parse::<tracing_subscriber::EnvFilter>().is_err() {
            let message = "log.level must be error, warn, info, debug or trace";
            self.errors.push((place("log.level"), message.to_owned()));
        }
        Some(config)
    }

    fn namespaces(&self) -> Namespaces {
        let default = self.namespace(DEFAULT_NAMESPACE);
        let named = self
            .values
            .keys()
            .filter_map(|path| Some(namespace_option(path)?.0))
            .filter(|name| *name != DEFAULT_NAMESPACE)
            .map(|name| (name.to_owned(), self.namespace(name)))
            .collect();
        Namespaces { default, named }
    }

    fn namespace(&self, name: &str) -> Namespace {
        let path = |option: &str| format!("namespaces.{name}.{option}");
        Namespace {
            max_message_bytes: self.number(&path("max_message_bytes")),
            publish: match &*self.text(&path("publish")) {
                "server" => PublishRule::Server,
                _ => PublishRule::Anyone,
            },
            echo: match &*self.text(&path("echo")) {
                "always" => Some(true),
                "never" => Some(false),
                _ => None,
            },
            history: match self.number(&path("history")) {
                0 => None,
                messages => Some(Retention { messages, ttl: self.duration(&path("history_ttl")) }),
            },
            presence: self.flag(&path("presence")),
            overflow: match &*self.text(&path("overflow")) {
                "drop_oldest" => OverflowPolicy::DropOldest,
                "latest" => OverflowPolicy::Latest,
                _ => OverflowPolicy::Disconnect,
            },
        }
    }

    /// The value that was set, else that of the default namespace, else the default.
    fn value(&self, path: &str) -> Value {
        if let Some(value) = self.values.get(path) {
            return value.clone();
        }
        let key = match namespace_option(path) {
            Some((name, option)) if name != DEFAULT_NAMESPACE => {
                return self.value(&format!("namespaces.{DEFAULT_NAMESPACE}.{option}"));
            }
            Some((_, option)) => NAMESPACE_KEYS.iter().find(|key| key.path == option),
            None => KEYS.iter().find(|key| key.path == path),
        };
        let key = key.unwrap_or_else(|| panic!("{path} is in the table of keys"));
        key.kind.read(&default(key.default)).unwrap_or_else(|error| panic!("default of {path}: {error}"))
    }

    fn text(&self, path: &str) -> String {
        match self.value(path) {
            Value::Text(text) => text,
            other => panic!("{path} is a text in the table of keys, not {other:?}"),
        }
    }

    fn texts(&self, path: &str) -> Vec<String> {
        match self.value(path) {
            Value::Texts(texts) => texts,
            other => panic!("{path} is a list in the table of keys, not {other:?}"),
        }
    }

    fn number(&self, path: &str) -> usize {
        match self.value(path) {
            Value::Number(number) => usize::try_from(number).unwrap_or(usize::MAX),
            other => panic!("{path} is a number in the table of keys, not {other:?}"),
        }
    }

    fn flag(&self, path: &str) -> bool {
        match self.value(path) {
            Value::Flag(flag) => flag,
            other => panic!("{path} is a flag in the table of keys, not {other:?}"),
        }
    }

    fn duration(&self, path: &str) -> Duration {
        match self.value(path) {
            Value::Duration(duration) => duration,
            other => panic!("{path} is a duration in the table of keys, not {other:?}"),
        }
    }

    fn address(&self, path: &str) -> SocketAddr {
        match self.value(path) {
            Value::Address(address) => address,
            other => panic!("{path} is an address in the table of keys, not {other:?}"),
        }
    }
}

/// A default of the table of keys.
fn default(literal: &str) -> Written {
    match literal {
        "[]" => Written::Texts(Vec::new()),
        text => Written::Text(text.trim_matches('"').to_owned()),
    }
}

#[cfg(test)]
#[path = "typed_tests.rs"]
mod tests;
