//! What an operator wants to know about a Redis server, asked through a small pool: a cold path.

use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, Runtime};
use redis::Cmd;

use crate::config::RedisConfig;

/// Connections that the questions may use.
const POOL_SIZE: usize = 2;

/// What a Redis server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerReport {
    /// For instance `7.0.15`.
    pub version: String,
    /// `standalone`, `sentinel` or `cluster`.
    pub mode: String,
    /// `master` or `replica`.
    pub role: String,
    /// Most client connections.
    pub maxclients: Option<u64>,
    /// What happens when memory is full.
    pub maxmemory_policy: Option<String>,
    /// `client-output-buffer-limit`, as Redis writes it.
    pub output_buffer_limit: Option<String>,
    /// Whether FUNCTION commands are allowed; the text is the refusal.
    pub functions: Option<Result<(), String>>,
    /// How long one PING took.
    pub round_trip: Duration,
}

impl ServerReport {
    /// The major version, if it can be read.
    pub fn major_version(&self) -> Option<u32> {
        self.version.split('.').next()?.parse().ok()
    }
}

/// Asks the server. The error is a sentence for the operator.
pub async fn inspect(config: &RedisConfig) -> Result<ServerReport, String> {
    let limit = config.timeout;
    match tokio::time::timeout(limit * 2, ask(config)).await {
        Ok(result) => result,
        Err(_) => Err(format!("Redis at {} did not answer within {:?}", config.address(), limit * 2)),
    }
}

async fn ask(config: &RedisConfig) -> Result<ServerReport, String> {
    let failed = |error: &dyn std::fmt::Display| format!("Redis at {}: {error}", config.address());
    let info = config.client_info().map_err(|e| failed(&e))?;
    let pool = Pool::builder(Manager::new(info).map_err(|e| failed(&e))?)
        .max_size(POOL_SIZE)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|e| failed(&e))?;
    let mut connection = pool.get().await.map_err(|e| failed(&e))?;
    let info: String = query(&mut connection, &["INFO", "server"]).await.map_err(|e| failed(&e))?;
    let replication: String =
        query(&mut connection, &["INFO", "replication"]).await.map_err(|e| failed(&e))?;
    let begin = std::time::Instant::now();
    let _: String = query(&mut connection, &["PING"]).await.map_err(|e| failed(&e))?;
    let round_trip = begin.elapsed();
    Ok(ServerReport {
        version: field(&info, "redis_version"),
        mode: field(&info, "redis_mode"),
        role: field(&replication, "role"),
        maxclients: setting(&mut connection, "maxclients").await.and_then(|v| v.parse().ok()),
        maxmemory_policy: setting(&mut connection, "maxmemory-policy").await,
        output_buffer_limit: setting(&mut connection, "client-output-buffer-limit").await,
        functions: Some(functions(&mut connection).await),
        round_trip,
    })
}

async fn query<T: redis::FromRedisValue>(
    connection: &mut Connection,
    parts: &[&str],
) -> redis::RedisResult<T> {
    let mut command = Cmd::new();
    for part in parts {
        command.arg(part);
    }
    command.query_async(connection).await
}

/// A setting, where managed services let it be read.
async fn setting(connection: &mut Connection, name: &str) -> Option<String> {
    let pair: Vec<String> = query(connection, &["CONFIG", "GET", name]).await.ok()?;
    pair.into_iter().nth(1)
}

async fn functions(connection: &mut Connection) -> Result<(), String> {
    query::<redis::Value>(connection, &["FUNCTION", "LIST"]).await.map(|_| ()).map_err(|e| e.to_string())
}

fn field(info: &str, name: &str) -> String {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap_or("unknown")
        .trim()
        .to_owned()
}
