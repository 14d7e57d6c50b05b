//! Words and bytes: what travels between a client, a gateway and a broker, as plain values.
//!
//! Nothing in this crate does I/O, reads a clock or knows how many nodes there are. The modules are
//! in the order in which a newcomer meets them: what things are called ([`room`], [`id`],
//! [`position`], [`event`], [`presence`]), what is said ([`payload`], [`publication`], [`command`], [`reply`],
//! [`control`], [`close`], [`trace`]), how large it may be ([`limits`]) and how it looks on each wire ([`encoded`], [`wire`]).

pub mod close;
pub mod command;
pub mod control;
pub mod encoded;
pub mod event;
pub mod id;
pub mod limits;
pub mod payload;
pub mod position;
pub mod presence;
pub mod publication;
pub mod reply;
pub mod room;
pub mod trace;
pub mod wire;

pub use close::Close;
pub use command::Command;
pub use control::Control;
pub use encoded::{Push, WireForm};
pub use event::EventName;
pub use id::{ConnectionId, NodeId};
pub use payload::{Payload, PayloadKind};
pub use position::{Cursor, Position};
pub use presence::{Member, MemberId};
pub use publication::Publication;
pub use reply::ErrorCode;
pub use room::Room;
pub use trace::{TraceContext, TraceParent};
