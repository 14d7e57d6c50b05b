//! Who is in a room: as whom a client is seen there, and whom it may see.

use std::rc::Rc;
use std::sync::Arc;

use roomcast_hub::Who;
use roomcast_protocol::{ErrorCode, Member, MemberId, Room, WireForm};

use crate::core::Core;
use crate::refusal::Refusal;
use crate::rules::{self, Client};
use crate::session::Session;
use crate::settings::Settings;

impl Core {
    /// Who is in a room, on all nodes.
    pub async fn members(&self, room: &Room) -> Result<Arc<[Member]>, Refusal> {
        let client = Client { user: None, connection: None };
        rules::may_read(client, room)?;
        keeps_presence(&self.settings(), room)?;
        self.shard().room_members(room).await.ok_or_else(Refusal::unavailable)
    }
}

impl Session {
    /// As whom the client is seen in a room, if anybody may see who is there. Who polls comes and goes with every
    /// poll, and is not seen.
    pub(crate) fn who(&self, room: &Room) -> Option<Rc<Who>> {
        let is_seen = self.form() != WireForm::Poll && self.core().settings().namespaces.of(room).presence;
        is_seen.then(|| Rc::new(Who { member: MemberId::Connection(self.id()), info: None }))
    }
}

/// Whether it is known who is in a room.
pub(crate) fn keeps_presence(settings: &Settings, room: &Room) -> Result<(), Refusal> {
    if settings.namespaces.of(room).presence {
        return Ok(());
    }
    let message = format!("it is not told who is in {room}: presence is off in its namespace");
    Err(Refusal::new(ErrorCode::NotFound, message))
}
