//! Who the client of a conversation is, and until when.

use std::rc::Rc;
use std::time::{Duration, Instant};

use roomcast_protocol::command::Ref;
use roomcast_protocol::{Close, ErrorCode, WireForm, reply};

use crate::auth::Identity;
use crate::core::now_s;
use crate::refusal::Refusal;
use crate::rules;
use crate::session::Session;

impl Session {
    /// The client is this user from now on, and its time runs.
    pub(crate) fn sign_in(&self, identity: Rc<Identity>) -> Result<(), Refusal> {
        let user = identity.user.as_ref();
        if user != self.identity().user.as_ref() || self.signed_in().is_none() {
            let max = self.core().settings().connections_per_user;
            let counted =
                user.map(|user| self.core().users().count(user, max).ok_or_else(|| self.too_many(max)));
            let counted = counted.transpose()?;
            let known = user.map(|user| self.core().shard().sign_in(user, self.id(), self.outbox()));
            *self.signed_in() = known.zip(counted).map(Box::new);
            self.pulse().belongs_to(user);
        }
        let end = identity
            .expires_at
            .map(|end| Instant::now() + Duration::from_secs(end.saturating_sub(now_s())).min(FAR_AWAY));
        let close = Close::new(4401, "the token has expired; connect with a fresh one");
        self.set_identity(identity);
        self.core().ends(self.pulse(), end, close);
        Ok(())
    }

    fn too_many(&self, max: usize) -> Refusal {
        self.core().stats().users_refused.add(1);
        let message = format!("a user may have {max} connections at most; close one first");
        Refusal::new(ErrorCode::RateLimited, message)
    }

    /// How long the client may stay with the token that it has; none: for ever.
    pub fn time_left(&self) -> Option<Duration> {
        Some(self.pulse().end()?.saturating_duration_since(Instant::now()))
    }

    /// One that may do nothing does not stay: it has so long to say who it is.
    pub(crate) fn expect_token(&self) {
        let may_stay = self.form() != WireForm::WebSocketJson || self.core().is_open();
        if may_stay || !self.identity().is_anonymous() || self.first_room().is_some() {
            return;
        }
        let limit = self.core().settings().first_message;
        let close =
            Close::new(4401, format!("no token came within {limit:?}; send it with the message auth"));
        self.core().ends(self.pulse(), Some(Instant::now() + limit), close);
    }

    /// It has found something that it may do without a token.
    pub(crate) fn needs_no_token(&self) {
        if self.identity().is_anonymous() {
            self.core().ends(self.pulse(), None, Close::NORMAL);
        }
    }

    /// A token has come, the first or a fresh one.
    pub(crate) async fn auth(&self, token: &str, reference: Option<&Ref>) -> Result<(), Refusal> {
        let identity = self.core().admit(Some(token)).await?;
        let before = self.identity().user.clone();
        if before.is_some() && before != identity.user {
            let message = "the token is another user's; open another connection for it";
            return Err(Refusal::new(ErrorCode::Forbidden, message));
        }
        self.sign_in(identity)?;
        self.leave_what_is_not_granted();
        self.enter_own_room().await?;
        self.reply(&reply::ok(None, reference));
        Ok(())
    }

    async fn enter_own_room(&self) -> Result<(), Refusal> {
        match self.identity().user_room() {
            Some(own) if self.membership(&own).is_none() => self.subscribe(&own, None, false, None).await,
            _ => Ok(()),
        }
    }

    /// A fresh token may grant less than the one before.
    fn leave_what_is_not_granted(&self) {
        let identity = self.identity();
        self.watch_no_more_where(|room| {
            rules::may_see_presence(&self.core().settings(), &identity, room).is_err()
        });
        for room in self.rooms() {
            if rules::may_subscribe(&self.core().settings(), &identity, &room, 0).is_err() {
                self.exit(&room);
                self.reply(&reply::unsubscribed(&room, None));
            }
        }
        self.show_who_it_is();
    }
}

/// A time that never comes, yet can be added to now.
const FAR_AWAY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
