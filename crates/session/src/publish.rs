//! From a permitted message to the broker's answer.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use roomcast_broker::KEY_BYTES_MAX;
use roomcast_protocol::{ErrorCode, EventName, Payload, Position, Publication, Room, TraceParent};
use tracing::debug;

use crate::auth::Identity;
use crate::core::Core;
use crate::refusal::Refusal;
use crate::rules::{self, Client, Draft};
use crate::trace::PublishTrace;

impl Core {
    /// Whether the client may publish to the room at all.
    pub fn may_publish(&self, identity: &Identity, room: &Room) -> Result<(), Refusal> {
        rules::may_publish(&self.settings(), identity, room)
    }

    /// Publishes a message that came by HTTP, as a part of its sender's trace if there is one. `Ok` means that the
    /// broker has it.
    pub async fn publish_http(
        &self,
        identity: &Identity,
        room: Room,
        event: Option<EventName>,
        payload: Payload,
        key: Option<String>,
        parent: Option<TraceParent>,
    ) -> Result<Option<Position>, Refusal> {
        self.stats().received_http.add(1);
        self.stats().received_bytes.add(payload.bytes.len() as u64);
        let client = Client { identity, connection: None };
        self.publish(client, Draft { room, event, payload, echo: true }, key, parent).await
    }

    pub(crate) async fn publish(
        &self,
        client: Client<'_>,
        draft: Draft,
        key: Option<String>,
        parent: Option<TraceParent>,
    ) -> Result<Option<Position>, Refusal> {
        if key.as_ref().is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            let message = format!("an idempotency key may have {KEY_BYTES_MAX} bytes at most");
            return Err(Refusal::new(ErrorCode::BadRequest, message));
        }
        let publication = rules::publication(&self.settings(), client, draft, now_us())?;
        self.hand_over(publication, key.filter(|key| !key.is_empty()), parent).await
    }

    async fn hand_over(
        &self,
        mut publication: Publication,
        key: Option<String>,
        parent: Option<TraceParent>,
    ) -> Result<Option<Position>, Refusal> {
        let trace = self.tracer().and_then(|tracer| PublishTrace::begin(tracer, parent, &publication));
        publication.trace = trace.as_ref().map(PublishTrace::context);
        let begin = Instant::now();
        let answer = self.broker().publish(publication, key).await;
        if let Some(trace) = trace {
            trace.end(&answer);
        }
        match answer {
            Ok(position) => {
                self.stats().published.add(1);
                self.stats().publish_duration.observe(begin.elapsed());
                Ok(position)
            }
            Err(error) => {
                self.stats().publish_failed(error.kind());
                // One line per message would drown the log in an outage; the link reports that.
                debug!(%error, kind = error.kind().as_str(), "a message was not published");
                Err(error.into())
            }
        }
    }
}

/// Microseconds since 1970.
fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}
