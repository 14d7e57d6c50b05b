//! OpenTelemetry's exporter, with a client that runs on the thread that sends.

use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{RetryPolicy, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::time::timeout;

use super::TracingConfig;
use crate::outbound::Outbound;

/// How long a collector may take. Spans wait meanwhile, as many as fit.
const SEND_LIMIT: Duration = Duration::from_secs(5);

/// Longest answer, in bytes: collectors answer with nothing, or with a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What sends spans to the collector, as those of this node.
pub(super) fn exporter(config: &TracingConfig, node: &str) -> Result<SpanExporter> {
    let client = Client(Outbound::new(&config.endpoint, &[])?);
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(config.endpoint.to_string())
        .with_timeout(SEND_LIMIT)
        // What waits for a collector that is away is better replaced by what is newer.
        .with_retry_policy(RetryPolicy::disabled())
        .build()
        .context("cannot set up tracing.endpoint")?;
    let resource = Resource::builder_empty()
        .with_service_name(config.service.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", node.to_owned()))
        .build();
    exporter.set_resource(&resource);
    Ok(exporter)
}

#[derive(Debug)]
struct Client(Outbound);

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = self.0.send(request.map(Full::new), ANSWER_BYTES_MAX);
        Ok(timeout(SEND_LIMIT, sending).await.map_err(|_| format!("no answer within {SEND_LIMIT:?}"))??)
    }
}
