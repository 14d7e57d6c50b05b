//! Letting everyone go, evenly, so that the nodes that take them over see no storm.

use std::rc::Rc;
use std::time::Duration;

use roomcast_hub::stats::Leave;
use tokio::time::{Instant, sleep_until};

use crate::core::Core;
use crate::heartbeat::Pulse;

/// How long clients are told to wait before they reconnect, at most. Their leaving is spread
/// already; this only keeps two that left together from arriving together.
const RECONNECT_MAX: Duration = Duration::from_secs(1);

/// Tells every client of the core to leave, spread evenly with jitter over `window`.
///
/// Clients that connect meanwhile, on connections that were accepted before, are told at the end.
pub async fn drain(core: Rc<Core>, window: Duration) {
    let begin = Instant::now();
    let mut everyone = core.everyone();
    // In random order: those who came together do not leave together.
    fastrand::shuffle(&mut everyone);
    let step = window / (everyone.len().max(1) as u32);
    for (i, pulse) in everyone.into_iter().enumerate() {
        sleep_until(begin + step * i as u32 + step.mul_f64(fastrand::f64())).await;
        core.ask_to_leave(&pulse, Leave::Drain);
    }
    for pulse in core.everyone() {
        core.ask_to_leave(&pulse, Leave::Drain);
    }
}

impl Core {
    /// Tells a client to come back elsewhere, unless it is on its way already.
    pub(crate) fn ask_to_leave(&self, pulse: &Pulse, reason: Leave) {
        if pulse.is_leaving() {
            return;
        }
        self.stats().asked_to_leave(reason);
        pulse.leave(reason, reconnect());
    }
}

/// How long a client that is asked to leave should wait.
pub(crate) fn reconnect() -> Duration {
    RECONNECT_MAX.mul_f64(fastrand::f64())
}
