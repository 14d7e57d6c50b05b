//! Traces of single publications, sent to an OpenTelemetry collector by OTLP over HTTP. Off unless `tracing.endpoint`
//! is set.
//!
//! Cores put spans that have ended into a bounded queue and never wait; one task on the main thread sends what has
//! gathered. What does not fit, or cannot be sent, is dropped and counted.

mod export;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Uri;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind as Kind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use roomcast_hub::trace::{Attribute, Span, SpanKind, Tracer};
use roomcast_protocol::{TraceContext, TraceParent};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Spans that wait to be sent: some seconds of a hundred traced publications a second to ten nodes' cores.
const SPANS_QUEUED_MAX: usize = 8192;
/// Spans in one request.
const BATCH_SPANS_MAX: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_secs(1);

/// What an operator decides about traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TracingConfig {
    pub(crate) endpoint: Uri,
    pub(crate) service: String,
    /// One publication in so many is traced whose publisher does not say; 0: none.
    pub(crate) one_in: u64,
}

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl SpanCounts {
    /// By what became of them.
    pub(crate) fn get(&self) -> [(&'static str, u64); 3] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [("sent", read(&self.sent)), ("failed", read(&self.failed)), ("dropped", read(&self.dropped))]
    }
}

/// The cores' end: decides what is traced, and queues spans.
#[derive(Debug)]
pub(crate) struct Spans {
    one_in: u64,
    queue: Sender<Span>,
    counts: Arc<SpanCounts>,
}

/// The other end.
pub(crate) struct Collector {
    queue: Receiver<Span>,
    exporter: opentelemetry_otlp::SpanExporter,
    endpoint: String,
    counts: Arc<SpanCounts>,
    failing: bool,
}

/// Both ends. `node` is the node's name.
pub(crate) fn spans(
    config: &TracingConfig,
    node: &str,
    counts: Arc<SpanCounts>,
) -> anyhow::Result<(Arc<Spans>, Collector)> {
    let exporter = export::exporter(config, node)?;
    let (sender, queue) = channel(SPANS_QUEUED_MAX);
    // Without the path, which may hold what should not be in a log.
    let endpoint = config.endpoint.authority().map(ToString::to_string).unwrap_or_default();
    let spans = Spans { one_in: config.one_in, queue: sender, counts: Arc::clone(&counts) };
    Ok((Arc::new(spans), Collector { queue, exporter, endpoint, counts, failing: false }))
}

impl Tracer for Spans {
    fn begin(&self, parent: Option<TraceParent>) -> Option<TraceContext> {
        match parent {
            Some(parent) => parent.sampled.then(|| self.child(parent.context)),
            None if self.one_in > 0 && fastrand::u64(..self.one_in) == 0 => Some(
                self.child(TraceContext { trace_id: fastrand::u128(1..).to_be_bytes(), span_id: [0; 8] }),
            ),
            None => None,
        }
    }

    fn child(&self, of: TraceContext) -> TraceContext {
        TraceContext { span_id: fastrand::u64(1..).to_be_bytes(), ..of }
    }

    fn record(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Collector {
    /// Sends what the cores have queued; once it is told to end, only what is queued then.
    pub(crate) async fn run(mut self, end: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH_SPANS_MAX);
        loop {
            tokio::select! {
                () = end.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
                count = self.queue.recv_many(&mut batch, BATCH_SPANS_MAX) => if count == 0 {
                    return;
                }
            }
            if batch.len() < BATCH_SPANS_MAX && !self.queue.is_closed() {
                tokio::time::sleep(GATHER).await;
                while batch.len() < BATCH_SPANS_MAX
                    && let Ok(span) = self.queue.try_recv()
                {
                    batch.push(span);
                }
            }
            self.send(std::mem::take(&mut batch)).await;
        }
    }

    async fn send(&mut self, batch: Vec<Span>) {
        let count = batch.len() as u64;
        let sent = self.exporter.export(batch.into_iter().map(span_data).collect()).await;
        let counter = if sent.is_ok() { &self.counts.sent } else { &self.counts.failed };
        counter.fetch_add(count, Ordering::Relaxed);
        match (sent, self.failing) {
            (Err(error), false) => {
                self.failing = true;
                warn!(collector = self.endpoint, %error, "traces cannot be sent; they are dropped until they can");
            }
            (Ok(()), true) => {
                self.failing = false;
                info!(collector = self.endpoint, "traces can be sent again");
            }
            _ => {}
        }
    }
}

/// A span as OpenTelemetry has it.
fn span_data(span: Span) -> SpanData {
    let TraceContext { trace_id, span_id } = span.context;
    let context = SpanContext::new(
        TraceId::from_bytes(trace_id),
        SpanId::from_bytes(span_id),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    let attribute = |(name, value): (&'static str, Attribute)| match value {
        Attribute::Text(text) => KeyValue::new(name, Value::from(text)),
        Attribute::Number(number) => KeyValue::new(name, number),
    };
    SpanData {
        span_context: context,
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        // The broker's span is this node's own; what others have begun is not.
        parent_span_is_remote: span.parent.is_some() && span.kind != SpanKind::Producer,
        span_kind: match span.kind {
            SpanKind::Server => Kind::Server,
            SpanKind::Producer => Kind::Producer,
            SpanKind::Consumer => Kind::Consumer,
        },
        name: Cow::Borrowed(span.name),
        start_time: span.begin,
        end_time: span.end,
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.error.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("roomcast").build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans_at(one_in: u64) -> (Spans, Receiver<Span>) {
        let (queue, receiver) = channel(2);
        (Spans { one_in, queue, counts: Arc::default() }, receiver)
    }

    #[test]
    fn publishers_decide_and_chance_where_they_do_not() {
        let context = TraceContext { trace_id: [1; 16], span_id: [2; 8] };
        let (never, _ends) = spans_at(0);
        let child = never.begin(Some(TraceParent { context, sampled: true })).unwrap();
        assert!(child.trace_id == context.trace_id && child.span_id != context.span_id);
        assert_eq!(never.begin(None), None);
        let (always, _ends) = spans_at(1);
        assert_eq!(always.begin(Some(TraceParent { context, sampled: false })), None);
        assert_ne!(always.begin(None).unwrap().trace_id, always.begin(None).unwrap().trace_id);
        let (some, _ends) = spans_at(10);
        let traced = (0..10_000).filter(|_| some.begin(None).is_some()).count();
        assert!((700..1300).contains(&traced), "{traced} of 10000");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let (spans, _ends) = spans_at(1);
        let now = std::time::SystemTime::now();
        let context = spans.begin(None).unwrap();
        for _ in 0..5 {
            let (name, kind) = ("x", SpanKind::Server);
            spans.record(Span {
                name,
                kind,
                context,
                parent: None,
                begin: now,
                end: now,
                error: None,
                attributes: Vec::new(),
            });
        }
        assert_eq!(spans.counts.get(), [("sent", 0), ("failed", 0), ("dropped", 3)]);
    }
}
