//! Keeps the function libraries in place on the server that commands go to.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisResult, Value};
use roomcast_broker::{RetentionTable, SharedRetention};
use tracing::info;

use crate::functions::{BACKEND_LIBRARY, backend_source, gateway_sources, should_replace};

/// What is loaded, and for what.
#[derive(Debug)]
pub(crate) struct Library {
    prefix: String,
    retention: SharedRetention,
    generation: ArcSwap<String>,
    /// The server process that was connected to last.
    server: ArcSwap<String>,
    /// The settings that the backends' library was last loaded with by this node; none before the
    /// first connection.
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Loaded {
    table: Arc<RetentionTable>,
    generation: Arc<String>,
}

impl Library {
    pub(crate) fn new(prefix: &str, retention: SharedRetention) -> Self {
        let generation = ArcSwap::from_pointee(String::from("0"));
        let server = ArcSwap::default();
        Self { prefix: prefix.to_owned(), retention, generation, server, loaded: Mutex::new(None) }
    }

    pub(crate) fn generation(&self) -> Arc<String> {
        self.generation.load_full()
    }

    pub(crate) fn server(&self) -> Arc<String> {
        self.server.load_full()
    }

    /// On every new connection: finds out which server it is, and loads what it lacks.
    pub(crate) async fn prepare(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let info: String = command(&["INFO", "server", "replication"]).query_async(connection).await?;
        self.generation.store(Arc::new(generation(&info)));
        self.server.store(Arc::new(field(&info, "run_id:").to_owned()));
        self.load_gateway(connection).await?;
        self.follow_settings(connection).await
    }

    /// Loads what a server that has been emptied lacks.
    pub(crate) async fn put_back(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.load_gateway(connection).await?;
        self.load_backend(connection, false).await
    }

    /// Loads the backends' library if this node has new settings, or talks to another server.
    pub(crate) async fn follow_settings(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let wanted = Loaded { table: self.retention.load_full(), generation: self.generation() };
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let changed = loaded.as_ref() != Some(&wanted);
        if changed {
            self.load_backend(connection, true).await?;
            *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(wanted);
        }
        Ok(())
    }

    async fn load_gateway(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        for (library, source) in gateway_sources() {
            match command(&["FUNCTION", "LOAD", &source]).query_async::<Value>(connection).await {
                // Another node has loaded it: one version, one text.
                Err(error) if error.to_string().contains("already exists") => {}
                result => result.map(|_| info!(library, "loaded functions into Redis"))?,
            }
        }
        Ok(())
    }

    async fn load_backend(&self, connection: &mut MultiplexedConnection, replace: bool) -> RedisResult<()> {
        let source = backend_source(&self.prefix, &self.retention.load(), &self.generation());
        let list = command(&["FUNCTION", "LIST", "LIBRARYNAME", BACKEND_LIBRARY, "WITHCODE"]);
        let present = code_of(&list.query_async::<Value>(connection).await?);
        if present.as_ref().is_some_and(|present| !replace || !should_replace(present, &source)) {
            return Ok(());
        }
        command(&["FUNCTION", "LOAD", "REPLACE", &source]).query_async::<Value>(connection).await?;
        info!(library = BACKEND_LIBRARY, "loaded functions into Redis");
        Ok(())
    }
}

fn command(parts: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    for part in parts {
        command.arg(part);
    }
    command
}

/// The text that looks like the source of a library, wherever it stands in the answer.
fn code_of(answer: &Value) -> Option<String> {
    match answer {
        Value::Array(items) => items.iter().find_map(code_of),
        Value::Map(pairs) => pairs.iter().find_map(|(_, value)| code_of(value)),
        Value::BulkString(bytes) => {
            String::from_utf8(bytes.clone()).ok().filter(|text| text.starts_with("#!lua"))
        }
        _ => None,
    }
}

/// A server that was promoted remembers the replication id of the one before it. Replication is
/// asynchronous, so ids may have been given out there that are not known here: epochs
/// begin anew. A server that was never promoted, restarted or not, is generation 0.
fn generation(info: &str) -> String {
    let before = field(info, "master_replid2:");
    if before.bytes().all(|byte| byte == b'0') { "0".to_owned() } else { before.to_owned() }
}

fn field<'a>(info: &'a str, name: &str) -> &'a str {
    info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::generation;

    #[test]
    fn generations() {
        assert_eq!(generation("role:master\r\nmaster_replid2:0000\r\n"), "0");
        assert_eq!(generation("master_replid2:7aab\r\n"), "7aab");
        assert_eq!(generation(""), "0");
    }
}
