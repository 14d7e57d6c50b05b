//! Publishing to rooms that keep history, and reading it.

use bytes::Bytes;
use redis::{Cmd, Value};
use roomcast_broker::{BrokerError, BrokerErrorKind, HistoryPage, PAGE_MESSAGES_MAX, Retention};
use roomcast_protocol::{Position, Publication, Room};

use crate::channels::Channels;
use crate::envelope;
use crate::functions::{HISTORY, PUBLISH, RENEW};

/// Appends and publishes in one step.
pub(crate) fn publish(
    channels: &Channels,
    publication: &Publication,
    retention: Option<Retention>,
    generation: &str,
    key: Option<&str>,
) -> Cmd {
    let mut command = Cmd::with_capacity(9, publication.payload.bytes.len() + 512);
    command.arg("FCALL").arg(PUBLISH).arg(1).arg(channels.plain(&publication.room));
    command.arg(envelope::encode(publication));
    command.arg(retention.map_or(0, |retention| retention.messages));
    command.arg(retention.map_or(0, |retention| retention.ttl.as_millis() as u64));
    command.arg(generation).arg(key.unwrap_or_default());
    command
}

/// Reads a part of the history.
pub(crate) fn history(channels: &Channels, room: &Room, after: Option<Position>, limit: usize) -> Cmd {
    let mut command = Cmd::new();
    command.arg("FCALL_RO").arg(HISTORY).arg(1).arg(channels.plain(room));
    command.arg(after.map(|position| position.to_string()).unwrap_or_default());
    command.arg(limit.min(PAGE_MESSAGES_MAX));
    command
}

/// Begins a new epoch, if the history ends before `seen`.
pub(crate) fn renew(channels: &Channels, room: &Room, seen: Position) -> Cmd {
    let mut command = Cmd::new();
    command.arg("FCALL").arg(RENEW).arg(1).arg(channels.plain(room)).arg(seen.to_string());
    command
}

/// The id in the answer to a publish.
pub(crate) fn position(answer: &Value) -> Result<Option<Position>, BrokerError> {
    match text(answer)? {
        "" => Ok(None),
        id => id.parse().map(Some).map_err(|_| unexpected()),
    }
}

/// The answer to a history.
pub(crate) fn page(room: &Room, answer: Value) -> Result<HistoryPage, BrokerError> {
    let Value::Array(items) = answer else { return Err(unexpected()) };
    let mut items = items.into_iter();
    let top = items.next().ok_or_else(unexpected)?;
    if text(&top)? == "gone" {
        return Ok(HistoryPage { gone: true, ..HistoryPage::default() });
    }
    let top = position(&top)?;
    let first_epoch = text(&items.next().ok_or_else(unexpected)?)? == "first";
    let mut messages = Vec::with_capacity(items.len() / 2);
    while let (Some(id), Some(envelope)) = (items.next(), items.next()) {
        let Value::BulkString(envelope) = envelope else { return Err(unexpected()) };
        // An entry that cannot be read leaves a gap, and whoever reads over it is told so.
        if let Ok(publication) = envelope::decode(room.clone(), Bytes::from(envelope)) {
            messages.push(Publication { position: position(&id)?, ..publication });
        }
    }
    Ok(HistoryPage { top, gone: false, first_epoch, messages })
}

fn text(value: &Value) -> Result<&str, BrokerError> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).map_err(|_| unexpected()),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> BrokerError {
    BrokerError::new(
        BrokerErrorKind::Rejected,
        "Redis answered something unexpected; are its functions those of roomcast?",
    )
}
