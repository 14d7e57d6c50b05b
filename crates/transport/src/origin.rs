//! Pages of other origins: which may use this service, and how that is said (Fetch standard, section 3.2; RFC 6455,
//! section 10.2), and the names that the service goes by.
//!
//! A browser sends a page's origin with every WebSocket, and with every request to another origin. Programs that are no
//! browsers send none, and need nobody's permission.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode};

use crate::problem::Problem;

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
        let request_headers = "Authorization, Content-Type, Last-Event-ID, Cache-Control, Idempotency-Key, traceparent, tracestate";
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(request_headers));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_AGE_S));
    }
}

/// Refuses what a page of a foreign origin wants: also what it could not read, but might cause with a user's cookies.
pub(crate) fn check<B>(request: &Request<B>, allowed: &[String]) -> Result<(), Problem> {
    let Some(origin) = request.headers().get(ORIGIN) else { return Ok(()) };
    if is_allowed(origin, allowed) || is_same(origin, request) {
        return Ok(());
    }
    let detail = "pages of this origin may not use the service; its operator can list them in cors.origins";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}

/// Refuses names that the service does not go by: those of others that lead here, as in DNS rebinding.
pub(crate) fn check_host<B>(request: &Request<B>, hosts: &[String]) -> Result<(), Problem> {
    let name = host(request).map(|host| {
        host.rsplit_once(':').map_or(host, |(name, port)| {
            if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
        })
    });
    if hosts.is_empty() || name.is_some_and(|name| hosts.iter().any(|pattern| matches(pattern, name))) {
        return Ok(());
    }
    let detail = "this service does not go by that name; its operator can list it in server.hosts";
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail))
}

/// The authority that the request is for.
fn host<B>(request: &Request<B>) -> Option<&str> {
    let in_target = request.uri().authority().map(Authority::as_str);
    in_target.or_else(|| request.headers().get(HOST)?.to_str().ok())
}

/// Whether a page comes from where the request goes. The scheme is not known behind a proxy that ends TLS.
fn is_same<B>(origin: &HeaderValue, request: &Request<B>) -> bool {
    let Some((scheme, page)) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else {
        return false;
    };
    let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let bare =
        |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    host(request).is_some_and(|host| bare(host) == bare(page))
}

fn is_allowed(origin: &HeaderValue, allowed: &[String]) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    allowed.iter().any(|pattern| pattern == "*" || matches(pattern, origin))
}

/// Whether a name, or an origin, fits a pattern; a `*` in it stands for the labels of a domain, and at least one.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_ascii_lowercase(), text.to_ascii_lowercase());
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let labels = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    let of_a_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    labels.is_some_and(|labels| !labels.is_empty() && labels.bytes().all(of_a_domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_same_origin_and_of_those_listed_are_let_in() {
        let lists: [&[&str]; 3] =
            [&[], &["https://app.example", "https://*.app.example", "http://localhost:3000"], &["*"]];
        // Origin, host; then whether it is allowed by each list.
        let cases = [
            ("", "rt.example", [true, true, true]),
            ("https://rt.example", "rt.example", [true, true, true]),
            ("https://rt.example", "RT.example:443", [true, true, true]),
            ("http://rt.example", "rt.example:80", [true, true, true]),
            ("http://127.0.0.1:8080", "127.0.0.1:8080", [true, true, true]),
            ("http://127.0.0.1:3000", "127.0.0.1:8080", [false, false, true]),
            ("https://rt.example", "rt.example:8443", [false, false, true]),
            ("https://APP.example", "rt.example", [false, true, true]),
            ("https://a.b.app.example", "rt.example", [false, true, true]),
            ("https://.app.example", "rt.example", [false, false, true]),
            ("https://evil.example/.app.example", "rt.example", [false, false, true]),
            ("https://evil.example:1.app.example", "rt.example", [false, false, true]),
            ("https://app.example.evil", "rt.example", [false, false, true]),
            ("http://app.example", "rt.example", [false, false, true]),
            ("http://localhost:3000", "127.0.0.1:8080", [false, true, true]),
            ("null", "rt.example", [false, false, true]),
            ("rt.example", "rt.example", [false, false, true]),
        ];
        for (origin, host, expected) in cases {
            let mut request = Request::builder().uri("/ws").header(HOST, host);
            if !origin.is_empty() {
                request = request.header(ORIGIN, origin);
            }
            let request = request.body(()).unwrap();
            let results = lists.map(|list| {
                let list: Vec<_> = list.iter().map(ToString::to_string).collect();
                check(&request, &list).is_ok()
            });
            assert_eq!(results, expected, "{origin} on {host}");
        }
    }

    #[test]
    fn names_that_the_service_does_not_go_by_are_refused() {
        let hosts = ["rt.example".to_owned(), "*.rt.example".to_owned(), "[::1]".to_owned()];
        let cases = [
            ("rt.example", true),
            ("RT.example:8080", true),
            ("a.rt.example:1", true),
            ("[::1]:8080", true),
            ("evil.example", false),
            ("127.0.0.1:8080", false),
            ("rt.example.evil", false),
        ];
        for (host, expected) in cases {
            let request = Request::builder().uri("/ws").header(HOST, host).body(()).unwrap();
            assert_eq!(check_host(&request, &hosts).is_ok(), expected, "{host}");
            assert!(check_host(&request, &[]).is_ok());
        }
        assert!(check_host(&Request::builder().uri("/ws").body(()).unwrap(), &hosts).is_err());
    }

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
