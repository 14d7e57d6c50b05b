//! What an operator wants to know about a Redis server, asked through a small pool: a cold path.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deadpool_redis::{Connection, Manager, Pool, Runtime};
use redis::Cmd;

use crate::config::RedisConfig;
use crate::functions::{BACKEND_LIBRARY, gateway_sources};

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
    /// The function libraries that are loaded; the text is the refusal where FUNCTION commands are not allowed.
    pub functions: Option<Result<Vec<String>, String>>,
    /// Those that nodes of this version load.
    pub libraries: Vec<String>,
    /// How far its clock is from ours, less what the question took.
    pub clock_skew: Option<Duration>,
    /// Whether every command is written to a file.
    pub appendonly: Option<String>,
    /// When that file is brought to the disk.
    pub appendfsync: Option<String>,
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
        libraries: library_names(),
        clock_skew: clock_skew(&mut connection, round_trip).await,
        appendonly: setting(&mut connection, "appendonly").await,
        appendfsync: setting(&mut connection, "appendfsync").await,
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

/// The names of the libraries: each answer is a list of pairs, as flat as RESP2 has it.
async fn functions(connection: &mut Connection) -> Result<Vec<String>, String> {
    let listed: Vec<HashMap<String, redis::Value>> =
        query(connection, &["FUNCTION", "LIST"]).await.map_err(|error| error.to_string())?;
    let name = |library: HashMap<String, redis::Value>| match library.get("library_name")? {
        redis::Value::BulkString(name) => String::from_utf8(name.clone()).ok(),
        _ => None,
    };
    Ok(listed.into_iter().filter_map(name).collect())
}

fn library_names() -> Vec<String> {
    let gateways = gateway_sources().map(|(name, _)| name.to_owned());
    gateways.into_iter().chain([BACKEND_LIBRARY.to_owned()]).collect()
}

/// None where Redis does not tell its time.
async fn clock_skew(connection: &mut Connection, round_trip: Duration) -> Option<Duration> {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros): (u64, u64) = query(connection, &["TIME"]).await.ok()?;
    let theirs = Duration::from_secs(seconds) + Duration::from_micros(micros);
    Some(theirs.abs_diff(now()).saturating_sub(round_trip))
}

fn field(info: &str, name: &str) -> String {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap_or("unknown")
        .trim()
        .to_owned()
}
