//! Patterns of room names: `*` stands for any characters, also none, and `{sub}` for the user.

use std::borrow::Cow;

use roomcast_protocol::limits::ROOM_BYTES_MAX;

/// Longest pattern, in bytes: a room name and some placeholders.
pub const PATTERN_BYTES_MAX: usize = 256;

/// Most patterns in one list of a token: they are compared one by one.
pub const PATTERNS_MAX: usize = 100;

/// Stands for the user.
const SUBJECT: &str = "{sub}";

/// One pattern. The user's name is not put into it but taken along when it is compared, so that a
/// name with a `*` in it stays a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Box<str>);

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is longer than [`PATTERN_BYTES_MAX`].
    #[error("a pattern of rooms may have {PATTERN_BYTES_MAX} bytes at most")]
    TooLong,
    /// It has a brace that does not belong to `{sub}`, so no room could ever match it.
    #[error("a pattern of rooms has braces that are not {SUBJECT}, the only placeholder there is")]
    Placeholder,
}

impl Pattern {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        if text.replace(SUBJECT, "").contains(['{', '}']) {
            return Err(PatternError::Placeholder);
        }
        Ok(Self(text.into()))
    }

    /// Whether the pattern, as the user `subject` has it, covers a name. Each part between two `*` is
    /// looked for behind the one before it, at the first place where it stands: a later one could
    /// only leave less room for the rest. So no byte of the name is tried from twice.
    pub(crate) fn covers(&self, name: &str, subject: Option<&str>) -> bool {
        if subject.is_none() && self.0.contains(SUBJECT) {
            return false;
        }
        let subject = subject.unwrap_or_default();
        let Some((first, rest)) = self.0.split_once('*') else {
            return expand(&self.0, subject).is_some_and(|whole| *whole == *name);
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let inside = || {
            let name = name.strip_prefix(&*expand(first, subject)?)?;
            name.strip_suffix(&*expand(last, subject)?)
        };
        let Some(mut name) = inside() else {
            return false;
        };
        for part in middle.split('*') {
            let found = expand(part, subject).and_then(|part| Some(name.find(&*part)? + part.len()));
            let Some(end) = found else {
                return false;
            };
            name = &name[end..];
        }
        true
    }
}

/// A part with the user in the places meant for it; `None` where it is longer than any room name.
fn expand<'a>(part: &'a str, subject: &str) -> Option<Cow<'a, str>> {
    if !part.contains(SUBJECT) {
        return Some(Cow::Borrowed(part));
    }
    let placeholders = part.matches(SUBJECT).count();
    let len = part.len() - placeholders * SUBJECT.len() + placeholders * subject.len();
    (len <= ROOM_BYTES_MAX).then(|| Cow::Owned(part.replace(SUBJECT, subject)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_patterns_cover() {
        let alice = Some("alice");
        let cases = [
            ("chat:1", "chat:1", None, true),
            ("chat:1", "chat:12", None, false),
            ("chat:1", "xchat:1", None, false),
            ("", "a", None, false),
            ("*", "a", None, true),
            ("**", "a", None, true),
            ("chat:*", "chat:", None, true),
            ("chat:*", "chat:a:b", None, true),
            ("chat:*", "chat", None, false),
            ("*:a", "x:a", None, true),
            ("*:a", "x:ab", None, false),
            ("a*a", "a", None, false),
            ("a*a", "aa", None, true),
            ("a*b*c", "aXbYc", None, true),
            ("a*b*c", "abc", None, true),
            ("a*b*c", "acb", None, false),
            ("a*bb*b", "abb", None, false),
            ("a*bb*b", "abbb", None, true),
            ("*ab*ab*", "abab", None, true),
            ("*ab*ab*", "aba", None, false),
            ("u:{sub}", "u:alice", alice, true),
            ("u:{sub}", "u:bob", alice, false),
            ("u:{sub}:*", "u:alice:x", alice, true),
            ("u:{sub}:*", "u:alice", alice, false),
            ("*{sub}*{sub}*", "alice-alice", alice, true),
            ("*{sub}*{sub}*", "alice", alice, false),
            ("u:{sub}", "u:{sub}", None, false),
            ("u:{sub}", "u:", None, false),
            ("*{sub}", "u:", None, false),
            ("u:{sub}", "u:bob", Some("*"), false),
            ("u:{sub}:*", "u:bob:x", Some("*"), false),
            ("u:{sub}", "u:{sub}", Some("{sub}"), true),
        ];
        for (pattern, name, subject, expected) in cases {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.covers(name, subject), expected, "{pattern} {name} {subject:?}");
        }
    }

    #[test]
    fn what_is_no_pattern() {
        assert!(Pattern::parse(&"*".repeat(PATTERN_BYTES_MAX)).is_ok());
        assert_eq!(Pattern::parse(&"a".repeat(PATTERN_BYTES_MAX + 1)), Err(PatternError::TooLong));
        for text in ["{user}", "{", "a}", "{sub", "{sub}}", "{ sub }"] {
            assert_eq!(Pattern::parse(text), Err(PatternError::Placeholder), "{text}");
        }
    }

    #[test]
    fn a_long_user_in_many_places_costs_nothing() {
        let pattern = Pattern::parse(&"{sub}".repeat(51)).unwrap();
        assert!(!pattern.covers(&"x".repeat(ROOM_BYTES_MAX), Some(&"x".repeat(200))));
    }

    /// The definition, as slow as it is plain.
    fn by_definition(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|skip| by_definition(rest, &name[skip..])),
            Some((byte, rest)) => name.first() == Some(byte) && by_definition(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn covers_what_the_definition_says(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            let expected = by_definition(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(Pattern::parse(&pattern).unwrap().covers(&name, None), expected);
        }

        #[test]
        fn nothing_panics(pattern in ".{0,300}", name in ".{0,200}", subject in proptest::option::of(".{0,200}")) {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                pattern.covers(&name, subject.as_deref());
            }
        }
    }
}
