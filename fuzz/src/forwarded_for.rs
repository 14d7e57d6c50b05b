//! `X-Forwarded-For`: the right-most address that is no proxy, by another definition, whatever stands left of it.

use std::net::IpAddr;

use ipnet::IpNet;
use roomcast_transport::fuzzing::forwarded_for;

/// Most proxies in a row, as the document on security says.
const HOPS_MAX: usize = 16;

const PROXIES: [&str; 3] = ["10.0.0.0/8", "2001:db8::/32", "127.0.0.1/32"];

/// Lines of the header.
pub fn run(data: &[u8]) {
    let proxies = PROXIES.map(|network| network.parse().expect("a network"));
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    // What is no header value never gets this far.
    let Some(found) = forwarded_for(&lines, &proxies) else { return };
    assert_eq!(found, by_definition(data, &proxies), "{:?}", String::from_utf8_lossy(data));
    let Ok(Some(client)) = found else { return };
    if is_proxy(client, &proxies) {
        return;
    }
    for claim in [&b"192.0.2.99"[..], b"10.0.0.1, 192.0.2.99", b"lies", b""] {
        let claimed = [&[claim][..], &lines].concat();
        assert_eq!(forwarded_for(&claimed, &proxies), Some(Ok(Some(client))), "what a client claims does not count");
    }
}

/// Read from the left: the last address counts, if proxies alone follow it.
fn by_definition(data: &[u8], proxies: &[IpNet]) -> Result<Option<IpAddr>, ()> {
    // Lines of one header are one list (RFC 9110, section 5.2).
    let list: Vec<Option<IpAddr>> = data.split(|byte| matches!(byte, b'\n' | b',')).map(address).collect();
    let is_proxy = |entry: &Option<IpAddr>| entry.is_some_and(|address| is_proxy(address, proxies));
    let client = list.iter().rposition(|entry| !is_proxy(entry));
    let hops = list.len() - client.unwrap_or(0);
    let entry = list.get(client.unwrap_or(0)).copied().flatten();
    if hops <= HOPS_MAX { entry.map(Some).ok_or(()) } else { Err(()) }
}

fn is_proxy(address: IpAddr, proxies: &[IpNet]) -> bool {
    proxies.iter().any(|network| network.contains(&address))
}

/// `ADDRESS`, `[ADDRESS]`, `IPV4:PORT` or `[IPV6]:PORT`, the last also with a zone (RFC 4007, section 11).
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let Some((host, rest)) = text.strip_prefix('[').and_then(|inner| inner.split_once(']')) else {
        let (host, port) = text.split_once(':')?;
        return host.parse::<IpAddr>().ok().filter(|host| host.is_ipv4() && is_port(port));
    };
    let address = match rest.strip_prefix(':') {
        None => host.parse::<IpAddr>().ok().filter(|_| rest.is_empty()),
        Some(port) => {
            let (host, zone) = host.split_once('%').unwrap_or((host, "0"));
            let fits = is_port(port) && zone.bytes().all(|b| b.is_ascii_digit()) && zone.parse::<u32>().is_ok();
            host.parse::<IpAddr>().ok().filter(|host| host.is_ipv6() && fits)
        }
    };
    Some(address?.to_canonical())
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}
