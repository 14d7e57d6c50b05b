//! The configuration as the program uses it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use roomcast_broker::Retention;
use roomcast_broker_redis::RedisConfig;
use roomcast_hub::OverflowPolicy;
use roomcast_protocol::limits::ENVELOPE_BYTES_MAX;
use roomcast_protocol::wire::deflate::DeflateSettings;
use roomcast_session::auth::{Access, ExpiryRule, KeySet, Rules};
use roomcast_session::{MaxAge, Namespace, Namespaces, PublishRule, Rates, Settings, SubscribeRule};
use roomcast_transport::{Console, HttpSettings, PlacementPolicy, TlsFiles};

use crate::console;
use crate::cores::ClusterThread;
use crate::otlp::TracingConfig;

use super::auth::{self, AuthConfig, JwksConfig, Lookup};
use super::keys::{DEFAULT_NAMESPACE, KEYS, NAMESPACE_KEYS};
use super::raw::{ConfigError, Raw, namespace_option};
use super::value::{Value, Written};

/// With one of them tokens are asked for.
const KEY_SETTINGS: [&str; 2] = ["auth.keys", "auth.jwks_url"];

/// Everything that was decided, by the operator or by default.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    /// `None` for plain connections.
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) admin_listen: SocketAddr,
    /// `None` for plain connections.
    pub(crate) admin_tls: Option<TlsFiles>,
    /// Empty for none.
    pub(crate) admin_key: String,
    /// 0 for one a core.
    pub(crate) cores: usize,
    pub(crate) placement: PlacementPolicy,
    pub(crate) cluster_thread: ClusterThread,
    pub(crate) batched_writes: bool,
    /// 0 for as many as descriptors allow.
    pub(crate) connections_max: usize,
    /// `None` for the embedded broker.
    pub(crate) redis: Option<RedisConfig>,
    pub(crate) drain_window: Duration,
    pub(crate) log_level: String,
    pub(crate) log_format: LogFormat,
    /// Of one place in the code; 0: any number.
    pub(crate) log_lines_per_second: u64,
    /// `None`: nothing is traced.
    pub(crate) tracing: Option<TracingConfig>,
    pub(crate) auth: AuthConfig,
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
    /// Checks everything that was set, and reports all that is wrong at once. Keys may be in
    /// variables of the `environment`.
    pub(crate) fn from_raw(mut raw: Raw, environment: Lookup<'_>) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader { values: HashMap::new(), errors: Vec::new() };
        for (path, key, sourced) in raw.all() {
            match key.kind.read(&sourced.written) {
                Ok(value) => drop(reader.values.insert(path.to_owned(), value)),
                Err(message) => reader.errors.push((sourced.place.clone(), format!("{path} {message}"))),
            }
        }
        let config = reader.config(&raw, environment);
        for (place, message) in reader.errors {
            raw.error(place, message);
        }
        let errors = raw.into_errors();
        match config {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(errors),
        }
    }
}

pub(super) struct Reader {
    values: HashMap<String, Value>,
    pub(super) errors: Vec<(String, String)>,
}

impl Reader {
    fn config(&mut self, raw: &Raw, environment: Lookup<'_>) -> Option<Config> {
        let place = |path: &str| raw.place(path);
        if self.text("broker.prefix").is_empty() {
            let message = "broker.prefix must not be empty: it keeps rooms apart from other channels";
            self.errors.push((place("broker.prefix"), message.to_owned()));
        }
        let auth = self.auth(raw, environment);
        let tracing = self.tracing(raw);
        let config = Config {
            auth,
            listen: self.address("server.listen"),
            tls: self.tls("tls.certificates", None, raw),
            admin_tls: self.tls("admin.tls.certificates", Some("admin.tls.client_ca"), raw),
            admin_listen: self.address("admin.listen"),
            admin_key: self.text("admin.key"),
            cores: self.number("server.cores"),
            placement: match &*self.text("server.placement") {
                "least_loaded" => PlacementPolicy::LeastLoaded,
                _ => PlacementPolicy::ByRoom,
            },
            cluster_thread: match &*self.text("server.cluster_thread") {
                "shared" => ClusterThread::Shared,
                "own" => ClusterThread::Own,
                _ => ClusterThread::Auto,
            },
            batched_writes: self.text("server.batched_writes") == "auto",
            connections_max: self.number("limits.connections"),
            redis: self.redis(raw),
            drain_window: self.duration("drain.window"),
            tracing,
            log_lines_per_second: self.number("log.lines_per_second") as u64,
            log_level: self.text("log.level"),
            log_format: if self.text("log.format") == "json" { LogFormat::Json } else { LogFormat::Text },
            session: Settings {
                node: self.text("node.name"),
                heartbeat: self.duration("server.heartbeat"),
                max_age: self.max_age(),
                sse_retry: self.duration("sse.retry"),
                first_message: self.duration("limits.first_message"),
                outbox_bytes: self.number("limits.outbox_bytes"),
                rooms_per_connection: self.number("limits.rooms_per_connection"),
                connections_per_user: self.number("limits.connections_per_user"),
                rates: Rates {
                    messages: self.number("limits.messages_per_second") as u64,
                    bytes: self.number("limits.bytes_per_second") as u64,
                },
                deflate: self.deflate(),
                namespaces: self.namespaces(),
            },
            http: HttpSettings {
                origins: self.texts("cors.origins"),
                hosts: self.texts("server.hosts"),
                cookie: self.text("auth.cookie"),
                gate: self.gate(raw),
                console: Console { page: console::page(), with_tokens: self.flag("console.enabled") },
            },
        };
        let needed = config.session.namespaces.max_message_bytes() + ENVELOPE_BYTES_MAX;
        if config.session.outbox_bytes < needed {
            let message = format!(
                "limits.outbox_bytes must be at least {needed}, so that the largest message of any namespace fits"
            );
            self.errors.push((place("limits.outbox_bytes"), message));
        }
        let asks_for_tokens = KEY_SETTINGS.iter().any(|path| self.is_said(path));
        let may_be_open = asks_for_tokens || self.text("auth.mode") == "open";
        if !may_be_open && !config.listen.ip().is_loopback() {
            let message = format!(
                "server.listen = {} would open every room to whoever can connect; set auth.keys or auth.jwks_url to ask for tokens, or auth.mode = \"open\" if that is meant, or listen on 127.0.0.1",
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

    fn deflate(&self) -> Option<DeflateSettings> {
        let number = |name: &str| self.number(&format!("websocket.deflate.{name}"));
        self.flag("websocket.deflate.enabled").then(|| DeflateSettings {
            level: number("level") as u8,
            threshold: number("threshold"),
            window_bits: number("window_bits") as u8,
        })
    }

    fn auth(&mut self, raw: &Raw, environment: Lookup<'_>) -> AuthConfig {
        let mut errors = Vec::new();
        let keys = auth::keys(&self.texts("auth.keys"), environment).unwrap_or_else(|messages| {
            errors.extend(messages.into_iter().map(|message| ("auth.keys", message)));
            KeySet::default()
        });
        let authorities = auth::authorities(&self.text("auth.jwks_ca")).unwrap_or_else(|message| {
            errors.push(("auth.jwks_ca", format!("auth.jwks_ca: {message}")));
            Vec::new()
        });
        let url = match &*self.text("auth.jwks_url") {
            "" => None,
            text => auth::jwks_url(text)
                .map_err(|message| errors.push(("auth.jwks_url", format!("auth.jwks_url {message}"))))
                .ok(),
        };
        if url.is_none() && !authorities.is_empty() {
            let message = "auth.jwks_ca is for auth.jwks_url, which is not set; set that one, or remove this";
            errors.push(("auth.jwks_ca", message.to_owned()));
        }
        let cookie = self.text("auth.cookie");
        if !auth::is_cookie_name(&cookie) {
            let message =
                "auth.cookie must be the name of a cookie: letters, digits and - _ . without spaces";
            errors.push(("auth.cookie", message.to_owned()));
        }
        // Browsers send cookies with every WebSocket, whatever page opens it. A pattern that ends in * has no owner.
        if !cookie.is_empty() && self.texts("cors.origins").iter().any(|origin| origin.ends_with('*')) {
            let message = "cors.origins lets in every page, which with auth.cookie could act as whoever looks at it; list the origins that are yours, or remove auth.cookie";
            errors.push(("cors.origins", message.to_owned()));
        }
        let closed = KEY_SETTINGS.into_iter().find(|path| self.is_said(path));
        if let Some(path) = closed.filter(|_| self.text("auth.mode") == "open") {
            let message = format!(
                "auth.mode = \"open\" lets everybody in, and {path} asks for tokens; remove auth.mode, or remove {path} if everybody is meant"
            );
            errors.push(("auth.mode", message));
        }
        for (path, message) in errors {
            let place = raw.place(path);
            self.errors.push((place, message));
        }
        let issuer = Some(self.text("auth.issuer")).filter(|issuer| !issuer.is_empty());
        let expiry = match &*self.text("auth.expiry") {
            "optional" => ExpiryRule::Optional,
            _ => ExpiryRule::Required,
        };
        let leeway_s = self.duration("auth.leeway").as_secs();
        let rules = Rules { issuer, audiences: self.texts("auth.audience"), leeway_s, expiry };
        let source = url.as_ref().map(|url| url.to_string().into());
        let refresh = self.duration("auth.jwks_refresh");
        AuthConfig {
            access: Access { rules, keys: Arc::new(keys), source },
            jwks: url.map(|url| JwksConfig { url, refresh, authorities }),
        }
    }

    /// None where nothing is to be traced.
    fn tracing(&mut self, raw: &Raw) -> Option<TracingConfig> {
        let text = self.text("tracing.endpoint");
        if text.is_empty() {
            return None;
        }
        let Some(endpoint) = auth::web_url(&text) else {
            let message = "tracing.endpoint must be a URL such as \"http://127.0.0.1:4318/v1/traces\"";
            self.errors.push((raw.place("tracing.endpoint"), message.to_owned()));
            return None;
        };
        let one_in = self.number("tracing.one_in") as u64;
        Some(TracingConfig { endpoint, service: self.text("tracing.service"), one_in })
    }

    /// None where connections may get as old as they like.
    fn max_age(&self) -> Option<MaxAge> {
        let limit = self.duration("server.max_connection_age");
        let jitter_percent = self.number("server.max_connection_age_jitter") as u32;
        (!limit.is_zero()).then_some(MaxAge { limit, jitter_percent })
    }

    /// Whether something was set that is not empty.
    fn is_said(&self, path: &str) -> bool {
        match self.value(path) {
            Value::Text(text) => !text.is_empty(),
            Value::Texts(texts) => !texts.is_empty(),
            Value::Address(_) | Value::Duration(_) | Value::Number(_) | Value::Flag(_) => true,
        }
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
                "anyone" => PublishRule::Anyone,
                _ => PublishRule::Token,
            },
            subscribe: match &*self.text(&path("subscribe")) {
                "anyone" => SubscribeRule::Anyone,
                _ => SubscribeRule::Token,
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
            rate: self.number(&path("rate")) as u64,
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

    pub(super) fn text(&self, path: &str) -> String {
        match self.value(path) {
            Value::Text(text) => text,
            other => panic!("{path} is a text in the table of keys, not {other:?}"),
        }
    }

    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        match self.value(path) {
            Value::Texts(texts) => texts,
            other => panic!("{path} is a list in the table of keys, not {other:?}"),
        }
    }

    pub(super) fn number(&self, path: &str) -> usize {
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

    pub(super) fn duration(&self, path: &str) -> Duration {
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
