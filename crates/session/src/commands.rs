//! What a client sends, and what is done about it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roomcast_protocol::command::{Ref, Request};
use roomcast_protocol::reply::{self, Verdict};
use roomcast_protocol::{Close, Command, ErrorCode, Payload, PayloadKind, Room, WireForm};
use tokio::time::{sleep, timeout};

use crate::rate_limit::TooFast;
use crate::refusal::Refusal;
use crate::resume;
use crate::rules::{self, Client, Draft};
use crate::session::{CONFIRMATION_LIMIT, Session};

/// The longest time that a client is not read from because it sends too fast: short beside a heartbeat.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The conversation ends, at the session's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End;

impl Session {
    /// A whole message has come from the client. One that sends too fast is refused, and not read from until it may
    /// send again.
    pub async fn receive(&self, text: bool, message: Bytes) -> Result<(), End> {
        let stats = self.core().stats();
        stats.received[self.form() as usize].add(1);
        stats.received_bytes.add(message.len() as u64);
        if self.outbox().is_closing() {
            // A client that takes its time to read the rest may not act meanwhile: its token may have ended.
            return Ok(());
        }
        let rates = self.core().settings().rates;
        let too_fast = self.rate_limit().message(rates, message.len(), Instant::now()).err();
        match self.form() {
            WireForm::WebSocketRaw => self.receive_raw(text, message, too_fast).await,
            _ if text => self.receive_command(&message, too_fast).await,
            _ => {
                self.outbox().close(Close::new(1003, "JSON mode takes text frames only"));
                Err(End)
            }
        }
    }

    /// So many frames have come, whatever was in them. Where they come too fast, waits, so that nothing is read meanwhile:
    /// fragments and pings make work too.
    pub async fn pace(&self, frames: u32) {
        while let Err(wait) = self.take_frames(frames) {
            sleep(wait.min(PAUSE_MAX)).await;
        }
    }

    /// Whether so many frames may come now.
    pub fn keeps_pace(&self, frames: u32) -> bool {
        self.take_frames(frames).is_ok()
    }

    fn take_frames(&self, frames: u32) -> Result<(), Duration> {
        let rates = self.core().settings().rates;
        self.rate_limit().frames(rates, frames, Instant::now())
    }

    /// Raw mode has no answers: a message that may not be published ends the conversation, one that
    /// cannot be published now is lost, as it would be on the network.
    async fn receive_raw(&self, text: bool, bytes: Bytes, too_fast: Option<TooFast>) -> Result<(), End> {
        let Some(room) = self.first_room() else { return Ok(()) };
        let kind = if text { PayloadKind::Untyped } else { PayloadKind::Bytes };
        let echo = self.echo_in(&room, None);
        let draft = Draft { room, event: None, payload: Payload::new(kind, bytes), echo };
        let result = match too_fast {
            Some(_) => Err(self.too_fast()),
            None => self.publish(draft, None).await.map(drop),
        };
        let Err(refusal) = result else { return Ok(()) };
        let close = match refusal.code {
            ErrorCode::TooLarge => Close::new(1009, refusal.message),
            _ => match refusal.close() {
                Some(close) => close,
                None => return Ok(()),
            },
        };
        self.outbox().close(close);
        Err(End)
    }

    async fn receive_command(&self, frame: &Bytes, too_fast: Option<TooFast>) -> Result<(), End> {
        let Request { reference, command } = match Request::parse(frame) {
            Ok(request) => request,
            Err(error) => {
                self.refuse(error.code, &error.message, error.reference.as_ref());
                return self.pause(too_fast).await;
            }
        };
        let reference = reference.as_ref();
        let brings_token = matches!(command, Command::Auth { .. });
        let result = match too_fast {
            Some(_) => Err(self.too_fast()),
            None => self.carry_out(command, reference).await,
        };
        if let Err(refusal) = result {
            self.refuse(refusal.code, &refusal.message, reference);
            // One that is nobody yet has nothing to go on with.
            let bad_token = brings_token && refusal.code == ErrorCode::Unauthorized;
            if let Some(close) = refusal.close().filter(|_| bad_token && self.identity().is_anonymous()) {
                self.outbox().close(close);
                return Err(End);
            }
        }
        self.pause(too_fast).await
    }

    fn refuse(&self, code: ErrorCode, message: &str, reference: Option<&Ref>) {
        self.core().stats().command_errors[code as usize].add(1);
        self.reply(&reply::error(code, message, reference));
    }

    /// Reads nothing until the client may send again; the network then holds it back.
    async fn pause(&self, too_fast: Option<TooFast>) -> Result<(), End> {
        let Some(TooFast { wait, deaf }) = too_fast else { return Ok(()) };
        if deaf {
            self.outbox().close(Close::TOO_FAST);
            return Err(End);
        }
        sleep(wait.min(PAUSE_MAX)).await;
        Ok(())
    }

    async fn carry_out(&self, command: Command, reference: Option<&Ref>) -> Result<(), Refusal> {
        match command {
            Command::Auth { token } => self.auth(&token.0, reference).await,
            Command::Subscribe { room, after, presence } => {
                self.subscribe(&room, after.as_deref(), presence, reference).await
            }
            Command::Unsubscribe { room } => {
                self.exit(&room);
                self.reply(&reply::unsubscribed(&room, reference));
                Ok(())
            }
            Command::Publish { room, event, payload, echo, key } => {
                let echo = self.echo_in(&room, echo);
                let position = self.publish(Draft { room, event, payload, echo }, key).await?;
                self.reply(&reply::ok(position, reference));
                Ok(())
            }
            Command::History { room, after, limit } => {
                let page = self.core().history(&self.identity(), &room, after.as_deref(), limit).await?;
                self.reply(&reply::history(&room, page.top, &page.messages, reference));
                Ok(())
            }
            Command::Presence { room } => {
                let members = self.core().members(&self.identity(), &room).await?;
                self.reply(&reply::members(&room, &members, reference));
                Ok(())
            }
            Command::Ping => {
                self.reply(&reply::pong(reference));
                Ok(())
            }
        }
    }

    async fn publish(
        &self,
        draft: Draft,
        key: Option<String>,
    ) -> Result<Option<roomcast_protocol::Position>, Refusal> {
        let rate = self.core().settings().namespaces.of(&draft.room).rate;
        if rate > 0 {
            let namespace = self.core().settings().namespaces.name_of(&draft.room);
            let allowed = self.rate_limit().publish(namespace, rate, Instant::now());
            // One that may still send elsewhere is not held back.
            if let Err(TooFast { deaf, .. }) = allowed {
                if deaf {
                    self.outbox().close(Close::TOO_FAST);
                }
                return Err(self.too_fast());
            }
        }
        let identity = self.identity();
        let client = Client { identity: &identity, connection: Some(self.id()) };
        let position = self.core().publish(client, draft, key, None).await?;
        self.needs_no_token();
        Ok(position)
    }

    pub(crate) async fn subscribe(
        &self,
        room: &Room,
        after: Option<&str>,
        presence: bool,
        reference: Option<&Ref>,
    ) -> Result<(), Refusal> {
        if presence {
            rules::may_see_presence(&self.core().settings(), &self.identity(), room)?;
        }
        if let Some(membership) = self.membership(room) {
            let id = membership.start().map(resume::dated);
            self.reply(&reply::subscribed(room, id, Verdict::default(), reference));
            if presence {
                membership.watch().await;
            }
            return Ok(());
        }
        let membership = self.enter(room)?;
        if timeout(CONFIRMATION_LIMIT, membership.confirmation()).await.is_err() {
            self.exit(room);
            return Err(Refusal::unavailable());
        }
        let Ok(plan) = timeout(CONFIRMATION_LIMIT, self.plan(&membership, after)).await else {
            self.exit(room);
            return Err(Refusal::unavailable());
        };
        if membership.has_ended() {
            self.exit(room);
            let message = format!("a backend service has just taken this user out of {room}");
            return Err(Refusal::new(ErrorCode::Forbidden, message));
        }
        // Cut off before anything else, the client comes back with this.
        let id = plan.start.map(resume::dated);
        self.reply(&reply::subscribed(room, id, plan.verdict, reference));
        self.begin_room(Rc::clone(&membership), plan);
        if presence {
            membership.watch().await;
        }
        Ok(())
    }

    fn too_fast(&self) -> Refusal {
        self.core().stats().rate_limited.add(1);
        let message = "too many messages in too short a time; send more slowly";
        Refusal::new(ErrorCode::RateLimited, message)
    }
}
