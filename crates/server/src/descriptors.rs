//! File descriptors: one for each connection, and a few for the process itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Descriptors that the process needs besides clients: listeners, Redis, event loops, logs, and the
/// admin listener's connections.
const OWN: u64 = 128;

/// Fewer clients than this and the operator probably does not know of the limit.
const FEW: usize = 4096;

/// Raises the soft limit to the hard one, and gives how many connections that allows.
pub(crate) fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            warn!(%error, "cannot raise the descriptor limit");
            limit.current
        }
    };
    connections(current)
}

/// How many connections the process may hold under a limit of descriptors; `None` is no limit.
pub(crate) fn connections(descriptors: Option<u64>) -> usize {
    descriptors.map_or(usize::MAX, |n| usize::try_from(n.saturating_sub(OWN)).unwrap_or(usize::MAX))
}

/// How many connections to take: what is configured, or what the descriptors allow.
pub(crate) fn connections_max(configured: usize, allowed: usize) -> usize {
    if configured > allowed {
        warn!(
            configured,
            allowed, "limits.connections is more than the descriptor limit allows; raise `ulimit -n`"
        );
        return allowed;
    }
    if allowed < FEW {
        warn!(allowed, "the descriptor limit allows few connections; raise it with `ulimit -n 1048576`");
    }
    let max = if configured == 0 { allowed } else { configured };
    info!(connections = max, "file descriptors allow this many connections");
    max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert_eq!(connections(Some(1024)), 896);
        assert_eq!(connections(Some(5)), 0);
        assert_eq!(connections(None), usize::MAX);
        assert_eq!(connections_max(0, 5000), 5000);
        assert_eq!(connections_max(100, 5000), 100);
        assert_eq!(connections_max(9000, 5000), 5000);
    }
}
