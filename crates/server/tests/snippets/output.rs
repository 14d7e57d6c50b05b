//! What a document shows beside what a program has printed.

/// Stands for anything in a line; alone in a line, for any number of lines.
const ANYTHING: char = '…';

/// How many of the lines of `printed` are what `shown` describes, from the first one on; none if they are not.
/// Empty lines do not count, nor do the heartbeats of a stream, which come when they come.
pub(crate) fn lines_described(shown: &str, printed: &str) -> Option<usize> {
    let shown = counted(shown);
    let printed: Vec<_> = printed.lines().collect();
    (0..=printed.len()).find(|count| {
        let so_far: Vec<_> = printed[..*count].iter().copied().filter(|line| counts(line)).collect();
        is_described(&shown, &so_far)
    })
}

/// Whether all of `printed` is what `shown` describes.
pub(crate) fn is_all_described(shown: &str, printed: &str) -> bool {
    is_described(&counted(shown), &counted(printed))
}

/// The lines that count.
fn counted(text: &str) -> Vec<&str> {
    text.lines().filter(|line| counts(line)).collect()
}

fn counts(line: &str) -> bool {
    !line.trim().is_empty() && line.trim() != ": ping"
}

fn is_described(shown: &[&str], printed: &[&str]) -> bool {
    match shown {
        [] => printed.is_empty(),
        [first, rest @ ..] if first.trim() == "…" => {
            (0..=printed.len()).any(|skipped| is_described(rest, &printed[skipped..]))
        }
        [first, rest @ ..] => printed
            .split_first()
            .is_some_and(|(line, others)| line_fits(first, line) && is_described(rest, others)),
    }
}

fn line_fits(shown: &str, printed: &str) -> bool {
    let (shown, mut rest) = (shown.trim_end(), printed.trim_end());
    let parts: Vec<_> = shown.split(ANYTHING).collect();
    let [first, middle @ .., last] = &parts[..] else { return shown == rest };
    let Some(behind) = rest.strip_prefix(first) else { return false };
    rest = behind;
    for part in middle {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_stands_for_anything() {
        for (shown, printed, expected) in [
            ("a\nb\n", "a\n\nb\n: ping\n\n", true),
            ("a\n", "a\nb\n", false),
            ("a\nb\n", "a\n", false),
            ("{\"id\":\"…-1\"}", "{\"id\":\"17-1\"}", true),
            ("{\"id\":\"…-1\"}", "{\"id\":\"17-2\"}", false),
            ("a…b…c", "a1b2c", true),
            ("a…b…c", "a1c2b", false),
            ("…\nlast", "1\n2\nlast", true),
            ("…\nlast", "1\n2\nlast\n3", false),
            ("a…a", "a", false),
        ] {
            assert_eq!(is_all_described(shown, printed), expected, "{shown:?} {printed:?}");
        }
    }

    #[test]
    fn a_terminal_is_read_on_from_where_it_was() {
        assert_eq!(lines_described("a\nb", "a\n\nb\nc\n"), Some(3));
        assert_eq!(lines_described("a\nc", "a\nb\nc\n"), None);
        assert_eq!(lines_described("…\nc", "a\nb\nc\nc\n"), Some(3));
    }
}
