//! Who may ask for what is under `/api`, and drain: programs on this machine, this listener's own page in a browser on
//! it, and whoever has the key.

use std::net::{IpAddr, SocketAddr};

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use roomcast_transport::Problem;

/// What browsers say of where a request comes from, and no script can change (Fetch Metadata, section 2.3).
const FETCH_SITE: &str = "sec-fetch-site";

/// Whether this request is answered.
pub(super) fn check(headers: &HeaderMap, peer: SocketAddr, key: &str) -> Result<(), Problem> {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let host = header(HOST.as_str());
    let is_here = peer.ip().to_canonical().is_loopback()
        && is_address(host)
        && !is_of_another_page(host, header(ORIGIN.as_str()), header(FETCH_SITE));
    if is_here || has_key(header(AUTHORIZATION.as_str()), key) {
        return Ok(());
    }
    let detail = "send Authorization: Bearer with the admin.key of the configuration, or ask from the node's own machine: as localhost or by an address, and not from a page of another origin";
    Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail))
}

/// Whether the request is for `localhost` or an address. A page whose own name was made to lead here (DNS rebinding) asks
/// for that name.
fn is_address(host: Option<&str>) -> bool {
    let name = host.map_or("localhost", |host| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    });
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok()
}

/// Whether a page in a browser on this machine has made the request, and one that did not come from here: whatever the
/// machine's users have open is not trusted as they are. A browser sends the origin with everything that changes
/// something; of a mere look, newer ones tell by another header.
fn is_of_another_page(host: Option<&str>, origin: Option<&str>, site: Option<&str>) -> bool {
    let is_own = |origin: &str| {
        let place = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
        place.is_some_and(|place| host.is_some_and(|host| place.eq_ignore_ascii_case(host)))
    };
    // "none": somebody has typed the address.
    let from_elsewhere = site.is_some_and(|site| !matches!(site, "same-origin" | "none"));
    from_elsewhere || origin.is_some_and(|origin| !is_own(origin))
}

fn has_key(authorization: Option<&str>, key: &str) -> bool {
    let given = authorization.and_then(|value| value.strip_prefix("Bearer "));
    !key.is_empty() && given.is_some_and(|given| is_same(given.as_bytes(), key.as_bytes()))
}

/// Compares without telling by its time how much was right.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_need_the_key() {
        let cases = [
            (None, "", false),
            (None, "secret", false),
            (Some("Bearer "), "", false),
            (Some("Bearer secret"), "secret", true),
            (Some("Bearer secre"), "secret", false),
            (Some("secret"), "secret", false),
            (Some("Bearer wrong!"), "secret", false),
        ];
        for (authorization, key, expected) in cases {
            assert_eq!(has_key(authorization, key), expected, "{authorization:?}");
        }
    }

    #[test]
    fn names_are_told_from_addresses() {
        for host in [
            "localhost:9090",
            "LOCALHOST",
            "127.0.0.1:9090",
            "127.0.0.1",
            "[::1]:9090",
            "[::1]",
            "10.0.0.1:1",
        ] {
            assert!(is_address(Some(host)), "{host}");
        }
        for host in
            ["evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example", ""]
        {
            assert!(!is_address(Some(host)), "{host}");
        }
        assert!(is_address(None));
    }

    #[test]
    fn the_own_page_is_told_from_others() {
        let host = Some("localhost:9090");
        for (origin, site) in [
            (None, None),
            (None, Some("none")),
            (None, Some("same-origin")),
            (Some("http://localhost:9090"), Some("same-origin")),
            (Some("https://LOCALHOST:9090"), None),
        ] {
            assert!(!is_of_another_page(host, origin, site), "{origin:?} {site:?}");
        }
        for (origin, site) in [
            (Some("https://evil.example"), None),
            (Some("http://localhost:8080"), None),
            (Some("http://localhost:90901"), None),
            (Some("http://localhost"), None),
            (Some("http://127.0.0.1:9090"), None),
            (Some("localhost:9090"), None),
            (Some("null"), None),
            (Some(""), None),
            (None, Some("cross-site")),
            (None, Some("same-site")),
            (None, Some("")),
            (Some("http://localhost:9090"), Some("cross-site")),
        ] {
            assert!(is_of_another_page(host, origin, site), "{origin:?} {site:?}");
        }
        assert!(is_of_another_page(None, Some("http://localhost"), None));
    }
}
