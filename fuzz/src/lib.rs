//! What must hold for whatever bytes an outsider sends: one module a target, each with a function `run` that panics
//! where a property does not hold. libFuzzer drives them through `fuzz_targets/`, and `tests/replay.rs` gives them
//! every file of `corpus/` on a stable compiler.

#![forbid(unsafe_code)]

mod event_source;
mod peer;

/// Declares the modules of the targets, and a table of them.
macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])* pub mod $name;)*

        /// Every target by its name.
        pub const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name::run)),*];
    };
}

targets! {
    command;
    configuration;
    control;
    cursor;
    deflate;
    deflate_offer;
    envelope;
    forwarded_for;
    frame_reader;
    grants;
    handshake;
    origin;
    presence_event;
    proxy_header;
    resp;
    room;
    sse;
    token;
}

/// Splits `data` behind its first `N` bytes, which say how to use the rest. Missing ones are zero.
fn settings<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let (head, rest) = data.split_at(data.len().min(N));
    let mut settings = [0; N];
    settings[..head.len()].copy_from_slice(head);
    (settings, rest)
}
