//! The function libraries that live in Redis.
//!
//! Two of them share one core. `roomcast_gateway_v1` is what gateways call, and so are `roomcast_presence_v1` and
//! `roomcast_nodes_v2`; their names carry the version of their code, so that two versions of the gateway side by side each have their own, and
//! whoever finds them there leaves them. `roomcast` is what backend services call; what rooms keep is rendered into
//! it from the configuration. A node replaces it when it starts, or when its settings change, unless a newer
//! version is there; otherwise it only puts back what is missing. So two nodes never take turns.

use std::fmt::Write as _;

use roomcast_broker::{Retention, RetentionTable};

const CORE: &str = include_str!("functions/core.lua");
const GATEWAY: &str = include_str!("functions/gateway.lua");
const PRESENCE: &str = include_str!("functions/presence.lua");
const NODES: &str = include_str!("functions/nodes.lua");
const BACKEND: &str = include_str!("functions/backend.lua");

/// Version of the backends' library: what it does, not what is set.
const BACKEND_VERSION: u32 = 1;

/// The gateways' library.
pub(crate) const GATEWAY_LIBRARY: &str = "roomcast_gateway_v1";
/// The gateways' library about who is in which room.
pub(crate) const PRESENCE_LIBRARY: &str = "roomcast_presence_v1";
/// The gateways' library about the nodes themselves.
pub(crate) const NODES_LIBRARY: &str = "roomcast_nodes_v2";
/// The backends' library.
pub(crate) const BACKEND_LIBRARY: &str = "roomcast";
/// Appends and publishes.
pub(crate) const PUBLISH: &str = "roomcast_gateway_v1_publish";
/// Begins a new epoch.
pub(crate) const RENEW: &str = "roomcast_gateway_v1_renew";
/// Reads history.
pub(crate) const HISTORY: &str = "roomcast_gateway_v1_history";

/// States members of a node.
pub(crate) const PRESENCE_SET: &str = "roomcast_presence_v1_set";
/// Lets all members of a node leave a room.
pub(crate) const PRESENCE_DROP: &str = "roomcast_presence_v1_drop";
/// Renews the lease of a node.
pub(crate) const PRESENCE_RENEW: &str = "roomcast_presence_v1_renew";

/// Says something of a node, and answers what all have said.
pub(crate) const NODES_REPORT: &str = "roomcast_nodes_v2_report";

/// Names and sources of the gateways' libraries.
pub(crate) fn gateway_sources() -> [(&'static str, String); 3] {
    [
        (GATEWAY_LIBRARY, format!("#!lua name={GATEWAY_LIBRARY}\n{CORE}\n{GATEWAY}")),
        (PRESENCE_LIBRARY, format!("#!lua name={PRESENCE_LIBRARY}\n{PRESENCE}")),
        (NODES_LIBRARY, format!("#!lua name={NODES_LIBRARY}\n{NODES}")),
    ]
}

/// The source of the backends' library. `generation` tells servers apart after a failover.
pub(crate) fn backend_source(prefix: &str, table: &RetentionTable, generation: &str) -> String {
    let mut settings =
        format!("local SETTINGS = {{ prefix = {}, generation = {}, ", quoted(prefix), quoted(generation));
    let _ = write!(settings, "default = {}, namespaces = {{ ", rendered(table.default));
    for (name, retention) in &table.namespaces {
        let _ = write!(settings, "[{}] = {}, ", quoted(name), rendered(*retention));
    }
    settings += "} }";
    format!("#!lua name={BACKEND_LIBRARY}\n-- version {BACKEND_VERSION}\n{settings}\n{CORE}\n{BACKEND}")
}

/// Whether a node that starts should put `ours` in the place of `present`.
pub(crate) fn should_replace(present: &str, ours: &str) -> bool {
    present != ours && version(present).is_none_or(|version| version <= BACKEND_VERSION)
}

fn version(source: &str) -> Option<u32> {
    source.lines().find_map(|line| line.strip_prefix("-- version "))?.trim().parse().ok()
}

fn rendered(retention: Option<Retention>) -> String {
    match retention {
        Some(Retention { messages, ttl }) => format!("{{ {messages}, {} }}", ttl.as_millis()),
        None => "false".to_owned(),
    }
}

/// A text in Lua: everything but letters and digits as a decimal escape.
fn quoted(text: &str) -> String {
    let escaped: String =
        text.bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("\\{byte:03}")
                }
            })
            .collect();
    format!("'{escaped}'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn settings_are_rendered() {
        let kept = Some(Retention { messages: 5, ttl: Duration::from_secs(2) });
        let table = RetentionTable { default: None, namespaces: [("a'b".to_owned(), kept)].into() };
        let source = backend_source("room:", &table, "0");
        assert!(source.starts_with("#!lua name=roomcast\n-- version 1\n"));
        let expected = r"local SETTINGS = { prefix = 'room\058', generation = '0', default = false, namespaces = { ['a\039b'] = { 5, 2000 }, } }";
        assert!(source.contains(expected), "{source}");
    }

    #[test]
    fn nodes_are_forgotten_when_the_contract_says() {
        let silence_ms = roomcast_broker::REPORT_COUNTS.as_millis();
        assert!(NODES.contains(&format!("SILENCE_MAX_MS = {silence_ms}\n")));
    }

    #[test]
    fn newer_libraries_are_left_alone() {
        let ours = backend_source("room:", &RetentionTable::default(), "0");
        assert!(!should_replace(&ours, &ours));
        assert!(should_replace(&ours.replace("generation = '0'", "generation = '1'"), &ours));
        assert!(!should_replace(&ours.replace("-- version 1", "-- version 2"), &ours));
        assert!(should_replace("#!lua name=roomcast\nsomething else", &ours));
    }
}
