//! Coming back: what a client has missed, before what is new, and a truthful word on whether that is
//! all of it.
//!
//! Live messages are held for the member from the moment it joins. History is read from where the client had stopped,
//! page by page and no faster than the client takes it; when what has been read reaches what is held, the member is released.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use roomcast_hub::{Entry, Membership, Outbox, Shard, Slice};
use roomcast_protocol::reply::Verdict;
use roomcast_protocol::wire::{sse, ws_frame};
use roomcast_protocol::{Cursor, Position, Room, WireForm, reply};

/// The wait before history that could not be read is asked for again.
const RETRY: Duration = Duration::from_millis(500);

/// How a membership begins.
pub(crate) struct Plan {
    /// What the client is told.
    pub(crate) verdict: Verdict,
    /// What the client has, in rooms that keep history: the end of its own part, or the room's end.
    pub(crate) start: Option<Position>,
    /// What it has missed, or the beginning of it.
    pub(crate) missed: Option<Slice>,
}

/// Decides how a member begins that has everything up to `after`, in a room that ends at `top`.
/// `start` is where a member begins that asks for nothing; none in rooms without history.
pub(crate) async fn plan(shard: &Shard, room: &Room, start: Option<Position>, after: Option<&str>) -> Plan {
    let fresh = |missed| Plan { verdict: Verdict { resumed: false, missed }, start, missed: None };
    let Some(after) = after else { return fresh(false) };
    let known = after.parse::<Cursor>().ok().and_then(|cursor| cursor.position_of(room));
    // A cursor of another room, another service or none: there is no telling what was missed.
    let (Some(known), Some(start)) = (known, start) else { return fresh(true) };
    let resumed = Verdict { resumed: true, missed: false };
    if known == start {
        return Plan { verdict: resumed, start: Some(known), missed: None };
    }
    match shard.slice(room, known).await {
        Some(slice) if slice.complete => Plan { verdict: resumed, start: Some(known), missed: Some(slice) },
        _ => fresh(true),
    }
}

/// Gives a member what it has missed, and then lets live messages through.
pub(crate) async fn catch_up(
    shard: Rc<Shard>,
    membership: Rc<Membership>,
    outbox: Rc<Outbox>,
    form: WireForm,
    plan: Plan,
) {
    let Plan { start, missed, .. } = plan;
    let (Some(mut reached), Some(mut slice)) = (start, missed) else { return membership.release(start) };
    loop {
        for push in &slice.messages {
            poll_fn(|context| outbox.poll_room(context)).await;
            membership.deliver(push);
            reached = push.publication().position.unwrap_or(reached);
        }
        let at_the_end = slice.top.is_none_or(|top| top == reached);
        if at_the_end && membership.can_be_released(Some(reached)) {
            return membership.release(Some(reached));
        }
        slice = read_on(&shard, membership.room(), reached).await;
        if !slice.complete {
            // Trimmed away while the client was reading.
            say_reset(&outbox, form, membership.room());
            return membership.release(slice.top.or(Some(reached)));
        }
    }
}

async fn read_on(shard: &Shard, room: &Room, after: Position) -> Slice {
    loop {
        if let Some(slice) = shard.slice(room, after).await {
            return slice;
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn say_reset(outbox: &Outbox, form: WireForm, room: &Room) {
    let bytes: Bytes = match form {
        WireForm::WebSocketRaw | WireForm::Poll => return,
        WireForm::WebSocketJson => ws_frame::text(&reply::reset(room)),
        WireForm::Sse | WireForm::SseJson => sse::event(Some("reset"), None, &reply::reset_data(room)),
    };
    // A client without room for it is being closed, and resumes with a verdict.
    let _ = outbox.push(Entry::Reply(bytes));
}
