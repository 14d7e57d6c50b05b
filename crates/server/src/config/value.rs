//! Values of settings: what a file or the environment says, read by the kind of the setting.

use std::net::SocketAddr;
use std::time::Duration;

/// What a setting may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// `host:port` with a numeric host.
    Address,
    /// A number with `ms`, `s`, `m` or `h`.
    Duration { min_ms: u64, max_ms: u64 },
    /// Bytes, with `KiB`, `MiB` or `GiB` if need be.
    Size { min: u64, max: u64 },
    /// A whole number.
    Number { min: u64, max: u64 },
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// `true` or `false`.
    Flag,
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    Text(String),
    Number(i64),
    Texts(Vec<String>),
    Flag(bool),
    /// Something that no setting takes.
    Other(&'static str),
}

/// A value as it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Address(SocketAddr),
    Duration(Duration),
    Number(u64),
    Texts(Vec<String>),
    Flag(bool),
}

impl Kind {
    /// Reads a value; the error says what would be right.
    pub(crate) fn read(self, written: &Written) -> Result<Value, String> {
        match (self, written) {
            (Self::Text, Written::Text(text)) => Ok(Value::Text(text.clone())),
            (Self::Text, _) => Err("must be a text in quotes".to_owned()),
            (Self::Address, Written::Text(text)) => address(text),
            (Self::Address, _) => Err("must be an address such as \"127.0.0.1:8080\"".to_owned()),
            (Self::Duration { min_ms, max_ms }, Written::Text(text)) => duration(text, min_ms, max_ms),
            (Self::Duration { .. }, _) => Err("must be a time with its unit, such as \"30s\"".to_owned()),
            (Self::Size { min, max }, Written::Text(text)) => size(text, min, max),
            (Self::Size { min, max }, Written::Number(n)) => number(*n, min, max),
            (Self::Size { .. }, _) => Err("must be a size such as 4096 or \"64KiB\"".to_owned()),
            (Self::Number { min, max }, Written::Number(n)) => number(*n, min, max),
            // The environment has nothing but texts.
            (Self::Number { min, max }, Written::Text(text)) => match text.trim().parse() {
                Ok(n) => number(n, min, max),
                Err(_) => Err("must be a whole number".to_owned()),
            },
            (Self::Number { .. }, _) => Err("must be a whole number".to_owned()),
            (Self::Choice(choices), Written::Text(text)) if choices.contains(&&**text) => {
                Ok(Value::Text(text.clone()))
            }
            (Self::Choice(choices), _) => {
                let quoted: Vec<_> = choices.iter().map(|choice| format!("{choice:?}")).collect();
                Err(format!("must be {}", quoted.join(" or ")))
            }
            (Self::Flag, Written::Flag(flag)) => Ok(Value::Flag(*flag)),
            (Self::Flag, Written::Text(text)) => {
                text.parse().map(Value::Flag).map_err(|_| "must be true or false".to_owned())
            }
            (Self::Flag, _) => Err("must be true or false".to_owned()),
            (Self::Texts, Written::Texts(texts)) => Ok(Value::Texts(texts.clone())),
            (Self::Texts, Written::Text(text)) => Ok(Value::Texts(list(text))),
            (Self::Texts, _) => Err("must be a list of texts, such as [\"a\", \"b\"]".to_owned()),
        }
    }
}

/// The environment's way to write a list.
fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

fn address(text: &str) -> Result<Value, String> {
    let (host, port) = text.rsplit_once(':').ok_or("needs a port, as in \"127.0.0.1:8080\"")?;
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    format!("{host}:{port}").parse().map(Value::Address).map_err(|_| {
        "must be a numeric address with a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"".to_owned()
    })
}

fn number(n: i64, min: u64, max: u64) -> Result<Value, String> {
    match u64::try_from(n) {
        Ok(n) if (min..=max).contains(&n) => Ok(Value::Number(n)),
        _ => Err(format!("must be from {min} to {max}")),
    }
}

fn size(text: &str, min: u64, max: u64) -> Result<Value, String> {
    const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
    let bytes = with_unit(text, &UNITS).ok_or("must be a size such as 4096 or \"64KiB\"")?;
    if !(min..=max).contains(&bytes) {
        return Err(format!("must be from {min} to {max} bytes"));
    }
    Ok(Value::Number(bytes))
}

fn duration(text: &str, min_ms: u64, max_ms: u64) -> Result<Value, String> {
    let span = span(text).ok_or("must be a time with its unit, such as \"500ms\" or \"30s\"")?;
    if !(Duration::from_millis(min_ms)..=Duration::from_millis(max_ms)).contains(&span) {
        return Err(format!("must be from {min_ms} ms to {max_ms} ms"));
    }
    Ok(Value::Duration(span))
}

/// A time with its unit.
pub(crate) fn span(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    with_unit(text, &UNITS).map(Duration::from_millis)
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.trim().strip_suffix(unit)?.trim_end(), factor)))?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Written {
        Written::Text(text.to_owned())
    }

    #[test]
    fn values() {
        let duration = Kind::Duration { min_ms: 1, max_ms: 100_000 };
        let size = Kind::Size { min: 1, max: 1 << 20 };
        let ms = |n| Ok(Value::Duration(Duration::from_millis(n)));
        assert_eq!(duration.read(&text("250ms")), ms(250));
        assert_eq!(duration.read(&text("30s")), ms(30_000));
        assert_eq!(duration.read(&text("1m")), ms(60_000));
        assert_eq!(size.read(&text("64KiB")), Ok(Value::Number(65_536)));
        assert_eq!(size.read(&Written::Number(5)), Ok(Value::Number(5)));
        assert_eq!(Kind::Number { min: 0, max: 9 }.read(&text("7")), Ok(Value::Number(7)));
        assert_eq!(Kind::Texts.read(&text("a, b,")), Ok(Value::Texts(vec!["a".into(), "b".into()])));
        assert_eq!(
            Kind::Address.read(&text("localhost:80")),
            Ok(Value::Address(([127, 0, 0, 1], 80).into()))
        );
        assert!(Kind::Address.read(&text("[::]:80")).is_ok());
    }

    #[test]
    fn wrong_values_are_told_what_is_right() {
        let duration = Kind::Duration { min_ms: 10, max_ms: 1000 };
        let cases = [
            (duration, text("5"), "with its unit"),
            (duration, text("5ms"), "from 10 ms"),
            (duration, text("99999999999999999999h"), "with its unit"),
            (duration, Written::Number(5), "with its unit"),
            (Kind::Size { min: 2, max: 9 }, text("1KiB"), "from 2 to 9 bytes"),
            (Kind::Size { min: 2, max: 9 }, text("-1"), "such as 4096"),
            (Kind::Number { min: 0, max: 9 }, Written::Number(-1), "from 0 to 9"),
            (Kind::Address, text("8080"), "needs a port"),
            (Kind::Address, text("example.com:80"), "numeric address"),
            (Kind::Choice(&["a", "b"]), text("c"), "\"a\" or \"b\""),
            (Kind::Text, Written::Number(1), "in quotes"),
            (Kind::Texts, Written::Other("a table"), "list of texts"),
        ];
        for (kind, written, expected) in cases {
            let error = kind.read(&written).unwrap_err();
            assert!(error.contains(expected), "{kind:?} {written:?}: {error}");
        }
    }
}
