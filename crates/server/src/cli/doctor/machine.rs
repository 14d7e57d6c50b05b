//! This machine: descriptors, the accept queue, ports, certificates.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roomcast_transport::{BACKLOG, Tls, TlsFiles};
use rustix::process::{Resource, getrlimit};

use super::finding::{Finding, bad, good, warning};
use crate::config::Config;
use crate::descriptors;

/// Fewer connections than this are few for a gateway.
const CONNECTIONS_FEW: usize = 10_000;

/// Certificates are renewed before this is left of their time.
const EXPIRY_SOON: Duration = Duration::from_secs(14 * 24 * 3600);

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let hard = getrlimit(Resource::Nofile).maximum;
    let mut findings = vec![
        descriptor_limit(hard, config.connections_max),
        accept_queue(),
        port(config.listen, "server.listen"),
        port(config.admin_listen, "admin.listen"),
    ];
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let listeners = [("tls.certificates", &config.tls), ("admin.tls.certificates", &config.admin_tls)];
    findings.extend(
        listeners
            .into_iter()
            .filter_map(|(setting, files)| Some(certificate(setting, load(files.as_ref()?), now))),
    );
    findings
}

/// `wanted` is what is configured; 0: as many as there may be.
fn descriptor_limit(hard: Option<u64>, wanted: usize) -> Finding {
    let check = "descriptors";
    let connections = descriptors::connections(hard);
    let text = match hard {
        Some(hard) => format!("descriptor limit {hard}: {connections} connections"),
        None => "no descriptor limit".to_owned(),
    };
    let remedy = "raise it with `ulimit -n 1048576`, LimitNOFILE of systemd, or the limits of the container";
    if wanted > connections {
        return bad(check, format!("{text}, and limits.connections is {wanted}"), remedy);
    }
    if connections < CONNECTIONS_FEW {
        return warning(check, text, remedy);
    }
    good(check, text)
}

/// Linux cuts every listener's queue to this.
fn accept_queue() -> Finding {
    let path = "/proc/sys/net/core/somaxconn";
    match std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()) {
        Some(allowed) => backlog(allowed),
        None => warning("backlog", format!("{path} cannot be read"), "look at it by hand: it should be 4096"),
    }
}

fn backlog(allowed: i32) -> Finding {
    let text = format!("accept queue {}", allowed.min(BACKLOG));
    if allowed < BACKLOG {
        let remedy = format!("reconnect storms need more: `sysctl net.core.somaxconn={BACKLOG}`");
        return warning("backlog", text, remedy);
    }
    good("backlog", text)
}

fn port(address: SocketAddr, setting: &str) -> Finding {
    let check = "port";
    match TcpListener::bind(address) {
        Ok(_) => good(check, format!("{setting} {address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => warning(
            check,
            format!("{setting} {address} is taken, by a running node or by another program"),
            "stop that one, or choose another address, unless it is the node that you look at",
        ),
        Err(error) => {
            bad(check, format!("{setting} {address}: {error}"), "choose an address of this machine")
        }
    }
}

/// When it ends, in seconds since 1970.
fn load(files: &TlsFiles) -> Result<u64, String> {
    Tls::load(files).map(|tls| tls.expiry_s()).map_err(|error| error.to_string())
}

fn certificate(setting: &str, expiry_s: Result<u64, String>, now: Duration) -> Finding {
    let check = "certificate";
    let renew = "put a new one into its place; nodes read it by themselves";
    match expiry_s {
        Err(error) => bad(check, format!("{setting} cannot be used: {error}"), "correct the files"),
        Ok(expiry_s) => match Duration::from_secs(expiry_s).checked_sub(now) {
            None => bad(check, format!("a certificate of {setting} has expired"), renew),
            Some(left) => {
                let days = left.as_secs() / (24 * 3600);
                let text = format!("the first certificate of {setting} to expire has {days} days left");
                if left < EXPIRY_SOON { warning(check, text, renew) } else { good(check, text) }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade::{self, Fail, Ok as Good, Warn};
    use super::*;

    #[test]
    fn limits_of_the_machine() {
        let grades: Vec<Grade> = [
            descriptor_limit(Some(1_048_576), 0),
            descriptor_limit(None, 1_000_000),
            descriptor_limit(Some(1024), 0),
            descriptor_limit(Some(20_000), 30_000),
            backlog(4096),
            backlog(65_535),
            backlog(128),
        ]
        .map(|finding| finding.grade)
        .into();
        assert_eq!(grades, [Good, Good, Warn, Fail, Good, Good, Warn]);
        assert!(backlog(128).to_string().contains("sysctl net.core.somaxconn=4096"));
    }

    #[test]
    fn ports_and_certificates() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(port(taken.local_addr().unwrap(), "server.listen").grade, Warn);
        assert_eq!(port("127.0.0.1:0".parse().unwrap(), "server.listen").grade, Good);
        assert_eq!(port("192.0.2.1:80".parse().unwrap(), "server.listen").grade, Fail);
        let now = Duration::from_secs(1_000_000_000);
        let at = |days: i64| {
            let expiry = (now.as_secs() as i64 + days * 24 * 3600) as u64;
            certificate("tls.certificates", Ok(expiry), now).grade
        };
        assert_eq!((at(90), at(3), at(-1)), (Good, Warn, Fail));
        assert_eq!(certificate("tls.certificates", Err("no file".into()), now).grade, Fail);
    }
}
