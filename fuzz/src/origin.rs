//! Pages of other origins and names of the service: those that a pattern covers by its definition, and none that only look so.

use hyper::Uri;
use roomcast_transport::fuzzing::{host_is_known, page_is_allowed};

/// Lines: a pattern, an origin, a host.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(3, '\n');
    let (Some(pattern), Some(origin), Some(host)) = (lines.next(), lines.next(), lines.next()) else { return };
    // What is no header value never gets this far.
    let Some(same) = page_is_allowed(origin, host, &[]) else { return };
    assert_eq!(same, is_same(origin, host), "{origin:?} on {host:?}");
    domains_of_the_operator_stay_theirs(origin, host, same);
    if pattern.matches('*').count() > 1 {
        return;
    }
    let patterns = [pattern.to_owned()];
    let any = pattern == "*" && is_visible(origin);
    let expected = same || any || (is_visible(origin) && covers(pattern, origin));
    assert_eq!(page_is_allowed(origin, host, &patterns), Some(expected), "{pattern:?} {origin:?} {host:?}");
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let known = is_visible(host) && covers(pattern, name);
    assert_eq!(host_is_known(host, &patterns), Some(known), "{pattern:?} {host:?}");
}

/// A pattern such as operators write opens the door to pages of that domain alone.
fn domains_of_the_operator_stay_theirs(origin: &str, host: &str, same: bool) {
    let allowed = page_is_allowed(origin, host, &["https://*.app.example".to_owned()]);
    if allowed != Some(true) || same {
        return;
    }
    let uri: Uri = origin.parse().expect("an allowed origin is a URL");
    assert_eq!((uri.scheme_str(), uri.port(), uri.path()), (Some("https"), None, "/"), "{origin}");
    assert!(uri.host().is_some_and(|host| host.to_ascii_lowercase().ends_with(".app.example")), "{origin}");
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    assert!(!authority.contains('@'), "{origin}");
}

/// `SCHEME://HOST`, the port left out where it is the scheme's own.
fn is_same(origin: &str, host: &str) -> bool {
    let Some((scheme, page)) = origin.split_once("://") else { return false };
    let port = if scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    let bare = |authority: &str| match authority.rsplit_once(':') {
        Some((name, given)) if given == port => name.to_ascii_lowercase(),
        _ => authority.to_ascii_lowercase(),
    };
    is_visible(origin) && is_visible(host) && bare(page) == bare(host)
}

/// Whether `*`, if there is one, can be filled with labels so that pattern and text are the same.
fn covers(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    if !pattern.contains('*') {
        return pattern == text;
    }
    let of_a_domain = |labels: &str| labels.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let fills = |begin: usize, end: usize| {
        text.get(begin..end).is_some_and(|labels| of_a_domain(labels) && pattern.replace('*', labels) == text)
    };
    (0..text.len()).any(|begin| {
        pattern.as_bytes().get(begin) == Some(&b'*') && (begin + 1..=text.len()).any(|end| fills(begin, end))
    })
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\t')
}
