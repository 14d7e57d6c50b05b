//! A door for the fuzz targets: from the text of a configuration file to settings or errors.

use crate::config::{Config, Raw};

/// What the rest of the program relies on in settings that were accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// `limits.outbox_bytes`.
    pub outbox_bytes: usize,
    /// The largest message of any namespace, in bytes.
    pub message_bytes_max: usize,
    /// `server.heartbeat` in milliseconds.
    pub heartbeat_ms: u128,
}

/// Reads the text of a file called `name`, then `KEY=VALUE` texts as the command line gives them; no environment variable
/// is set. Errors are as they
/// are shown: place, colon, sentence.
pub fn configuration(name: &str, toml: &str, assignments: &[&str]) -> Result<Accepted, Vec<String>> {
    let mut raw = Raw::default();
    raw.toml(name, toml);
    for assignment in assignments {
        raw.assignment("--set", assignment);
    }
    match Config::from_raw(raw, &|_| None) {
        Ok(config) => Ok(Accepted {
            outbox_bytes: config.session.outbox_bytes,
            message_bytes_max: config.session.namespaces.max_message_bytes(),
            heartbeat_ms: config.session.heartbeat.as_millis(),
        }),
        Err(errors) => Err(errors.iter().map(ToString::to_string).collect()),
    }
}
