//! The server under test, and what the room of a case gets to hear.

use std::sync::atomic::{AtomicU32, Ordering};

use roomcast_bench::WsClient;
use xtask::{Node, wait_until};

use crate::case::{Case, TEXT};
use crate::deflate::OFFER;
use crate::run::{Outcome, Pace, play};

/// A node, and how many descriptors it has while nobody is connected.
pub(crate) struct Server {
    node: Node,
    descriptors: usize,
    /// Whoever plays a case offers compression.
    compresses: bool,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(false)
    }

    /// The same with compression turned on.
    pub(crate) fn compressing() -> Self {
        Self::start_with(true)
    }

    fn start_with(compresses: bool) -> Self {
        let deflate = format!("websocket.deflate.enabled={compresses}");
        let settings = [
            "namespaces.default.max_message_bytes=16MiB",
            "limits.outbox_bytes=64MiB",
            // The cases are as fast as they are.
            "limits.messages_per_second=0",
            "limits.bytes_per_second=0",
            &deflate,
        ];
        let arguments = settings.map(|setting| ["--set", setting]).concat();
        let node = Node::start(env!("CARGO_BIN_EXE_roomcast"), &arguments).unwrap();
        let descriptors = node.descriptors().unwrap();
        Self { node, descriptors, compresses }
    }

    /// Plays a case in a room of its own, where another member listens.
    pub(crate) fn run(&self, case: &Case) -> Outcome {
        self.run_at(case, Pace::InStep)?;
        if case.goes_on_after_echo() {
            self.run_at(case, Pace::BackToBack).map_err(|error| format!("back to back: {error}"))?;
        }
        Ok(())
    }

    fn run_at(&self, case: &Case, pace: Pace) -> Outcome {
        let target = fresh_room();
        let mut witness = self.connect(&target);
        let mut player =
            if self.compresses { self.connect_offering(&target, OFFER) } else { self.connect(&target) };
        play(&mut player, case, pace)?;
        heard(&mut witness, case)
    }

    /// Plays a case in a room of its own.
    pub(crate) fn run_alone(&self, case: &Case) -> Outcome {
        play(&mut self.connect(&fresh_room()), case, Pace::InStep)
    }

    pub(crate) fn connect(&self, target: &str) -> WsClient {
        WsClient::raw(self.node.port(), target).unwrap()
    }

    /// A client that offers extensions.
    pub(crate) fn connect_offering(&self, target: &str, offer: &str) -> WsClient {
        let offer = [("Sec-WebSocket-Extensions", offer)];
        WsClient::connect(self.node.port(), target, &offer).unwrap().unwrap()
    }

    /// Waits until no connection is left.
    pub(crate) fn wait_until_idle(&self) {
        wait_until("every connection is closed", || self.node.descriptors().unwrap() <= self.descriptors);
    }
}

/// Where a room is joined in which nobody is.
pub(crate) fn fresh_room() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("/ws?room=case-{}&echo=true", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The room has got every message that was to be taken, and nothing else: not what came after a
/// mistake or a close, nor any part of a message that was not finished.
fn heard(witness: &mut WsClient, case: &Case) -> Outcome {
    const LAST: &str = "nothing more";
    witness.send_text(LAST).map_err(|error| error.to_string())?;
    for expected in case.messages() {
        let message = witness.message().map_err(|error| error.to_string())?;
        if message != *expected {
            return Err(format!("the room heard {:.40} of {} bytes", message.text(), message.payload.len()));
        }
    }
    let message = witness.message().map_err(|error| error.to_string())?;
    if (message.first, &*message.text()) != (TEXT, LAST) {
        return Err(format!("the room also heard {:.40}", message.text()));
    }
    Ok(())
}
