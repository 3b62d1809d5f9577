//! What unary calls mean: messages and calls from servers that speak `protos.Pitaya` instead of links.
//!
//! [`PitayaService`] is the service. A client's message that a frontend forwards runs in the session's lane, among those
//! that came over links, with a [`PitayaAgent`] as the session's other end; a call from server to server runs beside
//! them; on a frontend, [`BuiltIn`] does to its own sessions what backends ask for.
//!
//! Promised: messages of a session are handled in the order in which they arrive; what a handler pushed has been given
//! to the frontend before its answer leaves. Not promised, because such a frontend has no word for it: pins, the end of a
//! session, conflicts between saves (the last one counts).

mod agent;
mod built_in;
mod frontends;
mod outbox;
mod service;
mod unary_call;

#[cfg(test)]
mod tests;

pub(super) use agent::PitayaAgent;
pub(crate) use service::{PitayaParts, PitayaService};
pub(super) use unary_call::UnaryCall;

use built_in::BuiltIn;
use frontends::Frontends;
