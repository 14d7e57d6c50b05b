//! Cross-origin requests (Fetch standard, section 3.2): which pages of other origins may use this
//! service, and how that is said.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Request};

/// How long a browser may remember the answer to a preflight, in seconds.
const PREFLIGHT_AGE_S: &str = "600";

/// Whether this is a browser's question before the real request.
pub(crate) fn is_preflight<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Adds to an answer what the page at `origin` needs to read it, if it is allowed to.
pub(crate) fn allow(
    origin: Option<&HeaderValue>,
    allowed: &[String],
    preflight: bool,
    headers: &mut HeaderMap,
) {
    if allowed.is_empty() {
        return;
    }
    // Also where the origin is not allowed: a cache must not show this answer to another one.
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin.filter(|origin| is_allowed(origin, allowed)) else { return };
    if allowed.iter().any(|pattern| pattern == "*") {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    if preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
        let request_headers = "Authorization, Content-Type, Last-Event-ID, Cache-Control";
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(request_headers));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_AGE_S));
    }
}

fn is_allowed(origin: &HeaderValue, allowed: &[String]) -> bool {
    allowed.iter().any(|pattern| pattern == "*" || pattern.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(origin: &'static str, allowed: &[&str], preflight: bool) -> HeaderMap {
        let allowed: Vec<_> = allowed.iter().map(ToString::to_string).collect();
        let mut headers = HeaderMap::new();
        allow(Some(&HeaderValue::from_static(origin)), &allowed, preflight, &mut headers);
        headers
    }

    #[test]
    fn listed_origins_are_named_and_others_are_not() {
        let headers = answer("https://a.example", &["https://a.example"], false);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(headers[VARY], "Origin");
        let headers = answer("https://evil.example", &["https://a.example"], true);
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) && headers.contains_key(VARY));
        assert!(answer("https://a.example", &[], true).is_empty());
    }

    #[test]
    fn the_star_comes_without_credentials() {
        let headers = answer("https://a.example", &["*"], true);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST");
    }
}
