//! Coming back: what a client has missed, before what is new, and a truthful word on whether that is
//! all of it.
//!
//! Live messages are held for the member from the moment it joins. History is read from where the client had stopped,
//! page by page and no faster than the client takes it; when what has been read reaches what is held, the member is released.

use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roomcast_hub::{ENTRY_COST_BYTES, Membership, Outbox, Shard, Slice};
use roomcast_protocol::limits::ENVELOPE_BYTES_MAX;
use roomcast_protocol::reply::Verdict;
use roomcast_protocol::{Cursor, Position, Room};

/// The wait before history that could not be read is asked for again.
const RETRY: Duration = Duration::from_millis(500);

/// What a message may take in an outbox besides its payload.
const MARGIN_BYTES: usize = ENVELOPE_BYTES_MAX + 2 * ENTRY_COST_BYTES;

/// How a membership begins.
pub(crate) struct Plan {
    /// What the client is told.
    pub(crate) verdict: Verdict,
    /// What the client has, in rooms that keep history: the end of its own part, or the room's end.
    pub(crate) start: Option<Position>,
    /// What it has missed, or the beginning of it.
    pub(crate) missed: Option<Slice>,
}

/// The wait before history that had nothing new is asked for again.
const AGAIN: Duration = Duration::from_millis(50);

/// How long a cursor counts that was given out before the first message of a room. Brokers remember for longer that a
/// room has had messages.
const BEGINNING_COUNTS: Duration = Duration::from_secs(12 * 3600);

/// A cursor of a room without messages tells when it was given out: too old, it says nothing.
fn undated(position: Position) -> Option<Position> {
    if !position.is_before_everything() {
        return Some(position);
    }
    let age_s = now_s().checked_sub(position.offset)?;
    (age_s <= BEGINNING_COUNTS.as_secs()).then_some(Position::BEFORE_EVERYTHING)
}

/// The other way round, for clients.
pub(crate) fn dated(position: Position) -> Position {
    if position.is_before_everything() { Position { epoch: 0, offset: now_s() } } else { position }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Decides how a member begins that has everything up to `after`, in a room that ends at `top`.
/// `start` is where a member begins that asks for nothing; none in rooms without history. Waits for as long as history
/// cannot be read: what it would cover must not be called missing.
pub(crate) async fn plan(shard: &Shard, room: &Room, start: Option<Position>, after: Option<&str>) -> Plan {
    let fresh = |missed| Plan { verdict: Verdict { resumed: false, missed }, start, missed: None };
    let Some(after) = after else { return fresh(false) };
    let known = after.parse::<Cursor>().ok().and_then(|cursor| cursor.position_of(room)).and_then(undated);
    // A cursor of another room, another service or none: there is no telling what was missed.
    let (Some(known), Some(start)) = (known, start) else { return fresh(true) };
    let resumed = Verdict { resumed: true, missed: false };
    if known == start && !known.is_before_everything() {
        return Plan { verdict: resumed, start: Some(known), missed: None };
    }
    let slice = read_on(shard, room, known).await;
    if slice.complete {
        return Plan { verdict: resumed, start: Some(known), missed: Some(slice) };
    }
    fresh(true)
}

/// Gives a member what it has missed, and then lets live messages through.
pub(crate) async fn catch_up(shard: Rc<Shard>, membership: Rc<Membership>, outbox: Rc<Outbox>, plan: Plan) {
    let Some(mut reached) = plan.start else { return membership.release(None) };
    let mut slice = match plan.missed {
        Some(slice) => slice,
        None => {
            membership.reads_anew();
            read_on(&shard, membership.room(), reached).await
        }
    };
    loop {
        if membership.has_ended() {
            return;
        }
        if !slice.complete {
            // Trimmed away while the client was reading.
            membership.say_reset();
            reached = slice.top.unwrap_or(Position::BEFORE_EVERYTHING);
            slice.messages.clear();
        }
        for push in &slice.messages {
            let bytes = push.publication().payload.bytes.len() + MARGIN_BYTES;
            outbox.room(bytes).await;
            membership.deliver(push);
            reached = push.publication().position.unwrap_or(reached);
        }
        let at_the_end = slice.top.is_none_or(|top| top <= reached);
        if at_the_end && membership.can_be_released(Some(reached)) {
            return membership.release(Some(reached));
        }
        if slice.messages.is_empty() {
            tokio::time::sleep(AGAIN).await;
        }
        membership.reads_anew();
        slice = read_on(&shard, membership.room(), reached).await;
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
