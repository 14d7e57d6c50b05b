//! Who is in a room: as whom a client is seen there, and whom it may see.

use std::rc::Rc;
use std::sync::Arc;

use roomcast_hub::Who;
use roomcast_protocol::{Member, MemberId, Room, WireForm};

use crate::auth::Identity;
use crate::core::Core;
use crate::refusal::Refusal;
use crate::rules;
use crate::session::Session;

impl Core {
    /// Who is in a room, on all nodes, in an order that does not change from answer to answer.
    pub async fn members(&self, identity: &Identity, room: &Room) -> Result<Arc<[Member]>, Refusal> {
        rules::may_see_presence(&self.settings(), identity, room)?;
        self.shard().room_members(room).await.ok_or_else(Refusal::unavailable)
    }
}

impl Session {
    /// As whom the client is seen in a room, if anybody may see who is there. Who polls comes and goes with every
    /// poll, and is not seen.
    pub(crate) fn who(&self, room: &Room) -> Option<Rc<Who>> {
        let is_seen = self.form() != WireForm::Poll && self.core().settings().namespaces.of(room).presence;
        is_seen.then(|| {
            let identity = self.identity();
            let member = match &identity.user {
                Some(user) => MemberId::User(user.clone()),
                None => MemberId::Connection(self.id()),
            };
            Rc::new(Who { member, info: identity.info.clone() })
        })
    }
}
