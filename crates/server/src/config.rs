//! The configuration: what can be set, where it was set, and what came out of it.
//!
//! [`keys`] is the one table of everything that can be set, with kind, default and explanation.
//! [`raw`] collects values from file, environment and flags, [`value`] reads each by its kind, and
//! [`Config`] is the typed result. All errors are reported at once.

mod auth;
mod default_file;
mod keys;
mod network;
mod raw;
mod typed;
mod value;

pub(crate) use auth::{JwksConfig, KeyText, Lookup, web_url};
pub(crate) use default_file::default_file;
pub(crate) use raw::{ConfigError, Raw};
pub(crate) use typed::{Config, LogFormat};
pub(crate) use value::span;
