//! A player's session: who it is, its data, how it is reached and how it ends.
//!
//! The authoritative [`Record`] lives at the frontend that holds the connection, in the [`Pool`]. A request carries a
//! [`Representation`] of it; the lane that handles the request keeps a [`Copy`](struct@Copy), and handlers hold a
//! [`Session`]: that copy and what they changed. What a session does to the outside goes through its [`Entity`], the
//! other end: the connection's agent on a frontend, the link to the frontend on a backend. A session does not know
//! which.
//!
//! What is promised: a save is applied whole or not at all, and never over a value that its writer had not seen; close
//! callbacks run exactly once; what a save or bind acknowledged is seen by the messages behind it.
//!
//! It leaves out where a user is connected in the cluster, sockets, links and frames.

mod id;
mod reason;

mod representation;

mod changes;

mod values;

mod record;

mod entity;

mod copy;

mod staged;

mod handle;

mod pool;

mod subscriptions;

#[cfg(test)]
mod tests;

pub use changes::{Change, Changes, Conflict, SaveError};
pub use copy::{Copy, Reading};
pub use entity::{BoxFuture, Entity, Frontend, OnClose, PushError};
pub use handle::{Session, UPDATE_TRIES};
pub use id::{InvalidSessionId, SessionId, SessionIds};
pub use pool::{Entry, Pool};
pub use reason::{CloseReason, KickReason};
pub use record::Record;
pub use representation::Representation;
pub(crate) use subscriptions::Farewell;
pub use subscriptions::{Subscription, Subscriptions};
