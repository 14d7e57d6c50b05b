//! Reading the history of a room, without being in it.

use roomcast_broker::{HistoryPage, PAGE_MESSAGES_MAX};
use roomcast_protocol::{Cursor, ErrorCode, Room};

use crate::auth::Identity;
use crate::core::Core;
use crate::refusal::Refusal;
use crate::rules;

/// Messages in one answer where the client does not say how many.
const PAGE_MESSAGES: usize = 100;

impl Core {
    /// A page of a room's history: with `after` the oldest messages behind it, without it the newest.
    pub async fn history(
        &self,
        identity: &Identity,
        room: &Room,
        after: Option<&str>,
        limit: Option<usize>,
    ) -> Result<HistoryPage, Refusal> {
        rules::may_read_history(identity, room)?;
        if self.broker().retention(room).is_none() {
            return Err(Refusal::new(ErrorCode::NotFound, format!("{room} keeps no history")));
        }
        let limit = limit.unwrap_or(PAGE_MESSAGES);
        if !(1..=PAGE_MESSAGES_MAX).contains(&limit) {
            let message = format!("limit may be from 1 to {PAGE_MESSAGES_MAX}");
            return Err(Refusal::new(ErrorCode::BadRequest, message));
        }
        let after = after.map(|after| position(room, after)).transpose()?;
        let page = self.broker().history(room.clone(), after, limit).await;
        let counter = if page.is_ok() { &self.stats().history_read } else { &self.stats().history_failed };
        counter.add(1);
        Ok(page?)
    }
}

fn position(room: &Room, after: &str) -> Result<roomcast_protocol::Position, Refusal> {
    after.parse::<Cursor>().ok().and_then(|cursor| cursor.position_of(room)).ok_or_else(|| {
        Refusal::new(ErrorCode::BadRequest, "after must be the id of a message, such as 1732190000000-41")
    })
}
