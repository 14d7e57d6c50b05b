//! Values from file, environment and flags, each with the place where it was set.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Key, NAMESPACE_KEYS};
use super::value::Written;

/// What the environment variables of settings begin with.
const ENVIRONMENT_PREFIX: &str = "ROOMCAST_";

/// Something wrong with the configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError {
    /// File and line, variable or flag.
    pub(crate) place: String,
    /// What is wrong and what would be right.
    pub(crate) message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// One value and where it was set.
#[derive(Debug, Clone)]
pub(crate) struct Sourced {
    pub(crate) written: Written,
    pub(crate) place: String,
}

/// Everything that was set; what is set last counts.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    values: BTreeMap<String, Sourced>,
    errors: Vec<ConfigError>,
}

impl Raw {
    /// Reads a file.
    pub(crate) fn file(&mut self, path: &Path) {
        match std::fs::read_to_string(path) {
            Ok(text) => self.toml(&path.display().to_string(), &text),
            Err(error) => self.error(path.display().to_string(), format!("cannot be read: {error}")),
        }
    }

    /// Reads the text of a file.
    pub(crate) fn toml(&mut self, name: &str, text: &str) {
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let place =
                    error.span().map_or_else(|| name.to_owned(), |span| place(name, text, span.start));
                return self.error(place, format!("is not TOML: {}", error.message()));
            }
        };
        self.table(name, text, "", table.get_ref());
    }

    fn table(&mut self, name: &str, text: &str, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let path = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let place = place(name, text, key.span().start);
            match value.get_ref() {
                DeValue::Table(inner) if is_table(&path) => self.table(name, text, &path, inner),
                _ => self.set(&path, written(value.get_ref()), place),
            }
        }
    }

    /// Reads environment variables. Only names with a double underscore are settings: every setting
    /// has a table, and Kubernetes puts `ROOMCAST_PORT` and the like into pods beside a service of
    /// that name.
    pub(crate) fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, value) in variables {
            let Some(path) = name.strip_prefix(ENVIRONMENT_PREFIX).filter(|rest| rest.contains("__")) else {
                continue;
            };
            self.set(&path.to_ascii_lowercase().replace("__", "."), Written::Text(value), name);
        }
    }

    /// Takes a flag: `key=value`, the value as in a file or as a bare text.
    pub(crate) fn assignment(&mut self, flag: &str, assignment: &str) {
        match assignment.split_once('=') {
            Some((path, value)) => self.flag(flag, path.trim(), value.trim()),
            None => self.error(flag.to_owned(), format!("write KEY=VALUE, not {assignment:?}")),
        }
    }

    /// Takes the value of one setting from a flag.
    pub(crate) fn flag(&mut self, flag: &str, path: &str, value: &str) {
        self.set(path, Written::Text(value.trim_matches('"').to_owned()), flag.to_owned());
    }

    fn set(&mut self, path: &str, written: Written, place: String) {
        if find(path).is_some() {
            self.values.insert(path.to_owned(), Sourced { written, place });
        } else {
            self.error(place, unknown(path));
        }
    }

    /// Notes an error.
    pub(crate) fn error(&mut self, place: String, message: String) {
        self.errors.push(ConfigError { place, message });
    }

    /// Where a setting was set.
    pub(crate) fn place(&self, path: &str) -> String {
        self.values.get(path).map_or_else(|| "default".to_owned(), |sourced| sourced.place.clone())
    }

    /// Every path that was set, with its key.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &'static Key, &Sourced)> {
        self.values.iter().filter_map(|(path, value)| Some((&**path, find(path)?, value)))
    }

    pub(crate) fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }
}

/// The key of a path.
fn find(path: &str) -> Option<&'static Key> {
    match namespace_option(path) {
        Some((_, option)) => NAMESPACE_KEYS.iter().find(|key| key.path == option),
        None => KEYS.iter().find(|key| key.path == path),
    }
}

/// Namespace and option of `namespaces.NAME.OPTION`.
pub(crate) fn namespace_option(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("namespaces.")?.rsplit_once('.')
}

/// Whether settings may stand below this path.
fn is_table(path: &str) -> bool {
    let namespace =
        path.strip_prefix("namespaces").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let below = |key: &Key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    namespace || KEYS.iter().any(below)
}

fn unknown(path: &str) -> String {
    let known: Vec<String> = match namespace_option(path) {
        Some((name, _)) => {
            NAMESPACE_KEYS.iter().map(|key| format!("namespaces.{name}.{}", key.path)).collect()
        }
        None => KEYS.iter().map(|key| key.path.to_owned()).collect(),
    };
    let nearest =
        known.iter().max_by(|a, b| strsim::jaro_winkler(path, a).total_cmp(&strsim::jaro_winkler(path, b)));
    match nearest {
        Some(nearest) => format!("there is no setting {path}; did you mean {nearest}?"),
        None => format!("there is no setting {path}"),
    }
}

fn written(value: &DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Written::Other("a number"), Written::Number),
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>().map_or(Written::Other("a list"), Written::Texts)
        }
        DeValue::Float(_) => Written::Other("a number with a fraction"),
        DeValue::Boolean(flag) => Written::Flag(*flag),
        DeValue::Datetime(_) => Written::Other("a date"),
        DeValue::Table(_) => Written::Other("a table"),
    }
}

fn place(name: &str, text: &str, at: usize) -> String {
    let line = text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
    format!("{name}:{line}")
}
