//! Log lines, on standard error. One place in the code writes so many a second and no more: what is repeated for each
//! client or message would fill disks in an outage. What is left out is counted, and said.

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Metadata, Subscriber, warn};
use tracing_subscriber::filter::FilterExt as _;
use tracing_subscriber::layer::{Context, Filter, Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{Config, LogFormat};

/// What lines of one place are counted over, and how often it is said what was left out.
const WINDOW: Duration = Duration::from_secs(1);

/// How many lines each place in the code has written. Bounded by the places that there are.
#[derive(Debug)]
pub(crate) struct LineLimit {
    /// Lines of one place in a [`WINDOW`]; 0: any number.
    max: u64,
    places: Mutex<HashMap<Identifier, Place>>,
    left_out: AtomicU64,
}

#[derive(Debug)]
struct Place {
    name: String,
    window: Instant,
    written: u64,
    left_out: u64,
}

impl LineLimit {
    fn new(max: u64) -> Self {
        Self { max, places: Mutex::default(), left_out: AtomicU64::new(0) }
    }

    /// Lines that were ever left out.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Whether one more line of this place may be written.
    fn allows(&self, metadata: &Metadata<'_>, now: Instant) -> bool {
        if self.max == 0 {
            return true;
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry(metadata.callsite()).or_insert_with(|| Place {
            name: format!("{}:{}", metadata.file().unwrap_or("?"), metadata.line().unwrap_or(0)),
            window: now,
            written: 0,
            left_out: 0,
        });
        if now.saturating_duration_since(place.window) >= WINDOW {
            (place.window, place.written) = (now, 0);
        }
        if place.written < self.max {
            place.written += 1;
            return true;
        }
        place.left_out += 1;
        self.left_out.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// What was left out since this was asked last, by place.
    fn take_left_out(&self) -> Vec<(String, u64)> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let some = places.values_mut().filter(|place| place.left_out > 0);
        some.map(|place| (place.name.clone(), std::mem::take(&mut place.left_out))).collect()
    }

    /// Says what was left out, for as long as the process lives.
    pub(crate) async fn tell(self: Arc<Self>) {
        loop {
            tokio::time::sleep(WINDOW).await;
            for (place, lines) in self.take_left_out() {
                warn!(place, lines, "lines like those before were left out of the log: log.lines_per_second");
            }
        }
    }
}

/// The layer's share of the limit.
struct Limited(Arc<LineLimit>);

impl<S: Subscriber> Filter<S> for Limited {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.0.allows(event.metadata(), Instant::now())
    }
}

/// Sets up logging for the process. The level was checked with the configuration.
pub(crate) fn start(config: &Config) -> Arc<LineLimit> {
    let level = EnvFilter::try_new(&config.log_level).unwrap_or_else(|_| EnvFilter::new("info"));
    let limit = Arc::new(LineLimit::new(config.log_lines_per_second));
    let filter = level.and(Limited(Arc::clone(&limit)));
    // Colours are for people, not for files.
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let registry = tracing_subscriber::registry();
    match config.log_format {
        LogFormat::Text => registry.with(lines.with_target(false).with_filter(filter)).init(),
        LogFormat::Json => registry.with(lines.json().with_filter(filter)).init(),
    }
    limit
}

#[cfg(test)]
mod tests {
    use tracing::callsite::Callsite as _;

    use super::*;

    #[test]
    fn a_place_writes_so_many_lines_a_second_and_says_what_it_has_left_out() {
        let here = tracing::callsite! { name: "here", kind: tracing::metadata::Kind::EVENT, fields: };
        let there = tracing::callsite! { name: "there", kind: tracing::metadata::Kind::EVENT, fields: };
        let (limit, now) = (LineLimit::new(3), Instant::now());
        let allowed = |place: &Metadata<'_>, at| (0..5).filter(|_| limit.allows(place, at)).count();
        assert_eq!(allowed(here.metadata(), now), 3);
        assert_eq!(allowed(there.metadata(), now), 3, "each place for itself");
        assert_eq!(allowed(here.metadata(), now + WINDOW / 2), 0);
        assert_eq!(allowed(here.metadata(), now + WINDOW), 3);
        let mut counts: Vec<_> = limit.take_left_out().into_iter().map(|(_, lines)| lines).collect();
        counts.sort_unstable();
        assert_eq!((counts, limit.left_out()), (vec![2, 9], 11));
        assert!(limit.take_left_out().is_empty(), "said once");
        let none = LineLimit::new(0);
        assert!((0..1000).all(|_| none.allows(here.metadata(), now)));
    }
}
