//! A configuration file and flags: settings that fit together, or errors that name their places; never a panic.

use roomcast::fuzzing::configuration;
use roomcast_protocol::limits::ENVELOPE_BYTES_MAX;

/// What a line that is a flag begins with; the others are the file.
const FLAG: &str = "--set ";
const FILE: &str = "fuzz.toml";

/// Lines of a file, and flags between them.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (flags, lines): (Vec<_>, Vec<_>) = text.split('\n').partition(|line| line.starts_with(FLAG));
    let assignments: Vec<_> = flags.iter().map(|flag| &flag[FLAG.len()..]).collect();
    let read = || configuration(FILE, &lines.join("\n"), &assignments);
    match read() {
        Ok(accepted) => {
            assert!(accepted.outbox_bytes >= accepted.message_bytes_max + ENVELOPE_BYTES_MAX);
            assert!(accepted.heartbeat_ms >= 1);
            assert_eq!(read(), Ok(accepted), "read twice");
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "a refusal has a reason");
            for error in &errors {
                check_error(error, lines.len());
            }
            assert_eq!(read(), Err(errors), "read twice");
        }
    }
}

/// `place: sentence`, the place being a line of the file, a flag or what is the default.
fn check_error(error: &str, lines: usize) {
    let (place, message) = error.split_once(": ").unwrap_or_else(|| panic!("no place in {error:?}"));
    assert!(!message.is_empty(), "{error:?}");
    if let Some(line) = place.strip_prefix(FILE) {
        let line: usize = line.strip_prefix(':').and_then(|line| line.parse().ok()).expect("a line");
        assert!((1..=lines).contains(&line), "line {line} of {lines}: {error:?}");
    } else {
        assert!(matches!(place, "--set" | "default"), "{error:?}");
    }
}
