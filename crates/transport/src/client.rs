//! Who the client is: the address of the connection, or what a trusted proxy says of it.

use std::net::{IpAddr, SocketAddr};

use hyper::header::HeaderMap;
use ipnet::IpNet;

/// Most proxies in a row; more is a mistake or an attack.
const HOPS_MAX: usize = 16;

/// The client of a request, as an extension of it: what limits, logs and rates go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client(pub(crate) IpAddr);

/// The last entry of `X-Forwarded-For` that counts is not an address, or there are too many.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// Whether an address is one of the proxies that are believed.
pub(crate) fn is_trusted(address: IpAddr, proxies: &[IpNet]) -> bool {
    let address = address.to_canonical();
    proxies.iter().any(|net| net.contains(&address))
}

/// The client behind a trusted proxy: each proxy appends the address that it was connected from, so the
/// right-most one that is no proxy is the last that can be believed. `None` without the header.
pub(crate) fn forwarded_for(headers: &HeaderMap, proxies: &[IpNet]) -> Result<Option<IpAddr>, Unreadable> {
    let mut nearest = None;
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    // As bytes: what a client has put in front need not be text.
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for (hop, entry) in entries.enumerate() {
        let entry = std::str::from_utf8(entry).unwrap_or_default();
        let address = address(entry.trim()).filter(|_| hop < HOPS_MAX).ok_or(Unreadable)?;
        nearest = Some(address);
        if !is_trusted(address, proxies) {
            break;
        }
    }
    Ok(nearest)
}

/// An address, as proxies write it: alone, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        let proxies: Vec<IpNet> =
            ["10.0.0.0/8", "2001:db8::/32", "127.0.0.1/32"].map(|net| net.parse().unwrap()).into();
        let read = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            forwarded_for(&headers, &proxies).map(|found| found.map(|address| address.to_string()))
        };
        let found = |address: &str| Ok(Some(address.to_owned()));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["192.0.2.1"]), found("192.0.2.1"));
        assert_eq!(
            read(&["1.1.1.1, 192.0.2.1"]),
            found("192.0.2.1"),
            "what the client claims is not believed"
        );
        assert_eq!(read(&["lies, <script>, 192.0.2.1,10.0.0.7"]), found("192.0.2.1"));
        assert_eq!(read(&["é, 192.0.2.1"]), found("192.0.2.1"));
        assert_eq!(read(&["1.1.1.1", "192.0.2.1, 10.1.1.1", "10.0.0.7"]), found("192.0.2.1"));
        assert_eq!(read(&["10.0.0.9, 10.0.0.7"]), found("10.0.0.9"), "all of them are proxies");
        assert_eq!(read(&["192.0.2.1:4711"]), found("192.0.2.1"));
        assert_eq!(read(&["[2001:db9::1]:4711, 2001:db8::1"]), found("2001:db9::1"));
        assert_eq!(read(&["::ffff:192.0.2.1, [2001:db8::1]"]), found("192.0.2.1"));
        let long = vec!["10.0.0.1"; 17].join(",");
        for wrong in ["", "unknown", "192.0.2.1,", "192.0.2.1, x, 10.0.0.1", "1.2.3", "é", &long] {
            assert_eq!(read(&[wrong]), Err(Unreadable), "{wrong}");
        }
    }

    #[test]
    fn trust_is_by_network() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        for (address, expected) in [("10.9.9.9", true), ("::ffff:10.9.9.9", true), ("11.0.0.1", false)] {
            assert_eq!(is_trusted(address.parse().unwrap(), &proxies), expected, "{address}");
        }
    }
}
