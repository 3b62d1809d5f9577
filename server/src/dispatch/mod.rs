//! Mine or theirs: takes a client's message, decodes its route, and has it handled here or by another server type.
//!
//! Promises: messages of one session to one server type are handled in the order sent; a request that has an id is
//! answered exactly once, by its result, an error, or PIT-504 at its deadline; a session has at most
//! `session_messages` messages open, past which reading from its client pauses.
//!
//! The lane of the own type is here; what goes to other types is [`forward`](crate::forward)'s, which this module
//! drives. Bytes, packets and heartbeats belong to [`agent`](crate::agent).

#[doc(hidden)]
pub mod bench_support;
mod client;
mod conversation;
mod dispatcher;
mod open;
#[cfg(test)]
mod tests;

pub(crate) use client::{Client, Conversation, Conversations};
pub(crate) use dispatcher::{Dispatcher, DispatcherParts};
