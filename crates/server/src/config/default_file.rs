//! What `roomcast config default` prints.

use super::keys::{DEFAULT_NAMESPACE, KEYS, Key, NAMESPACE_KEYS};

/// A commented file with every setting at its default.
pub(crate) fn default_file() -> String {
    let mut out = String::from(
        "# roomcast configuration: every setting at its default.\n\
         # Environment variables come before this file: ROOMCAST_BROKER__URL is broker.url.\n\
         # Flags come before both: --set broker.url=redis://127.0.0.1:6379\n",
    );
    let mut table = "";
    for key in KEYS {
        let (this, name) = key.path.split_once('.').unwrap_or(("", key.path));
        if this != table {
            out += &format!("\n[{this}]\n");
            table = this;
        }
        write(&mut out, key, name);
    }
    out += "\n# Rooms whose name has no colon, and those of namespaces that are not listed.\n";
    out += &format!("[namespaces.{DEFAULT_NAMESPACE}]\n");
    for key in NAMESPACE_KEYS {
        write(&mut out, key, key.path);
    }
    out += "\n# The rooms chat:… have options of their own:\n# [namespaces.chat]\n# max_message_bytes = \"4KiB\"\n";
    out
}

fn write(out: &mut String, key: &Key, name: &str) {
    for line in key.help.lines() {
        *out += &format!("# {line}\n");
    }
    *out += &format!("{name} = {}\n", key.default);
}
