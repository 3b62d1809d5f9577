//! Server to server: links and what is said on them.
//!
//! A *link* is one HTTP/2 stream between a worker of one server and another server, opened by the one that calls. On the
//! way of a message it sits between `forward` and the network: `forward` calls, the peer's `forward` answers, and what
//! belongs to the caller's sessions (pushes, saves, binds, kicks, pins) returns on the same link.
//!
//! Promised here: frames of one direction arrive in the order in which they were sent; all that is queued leaves in one
//! batch; a call that was taken is completed exactly once, and it is known whether the peer may have executed it; a link
//! only ever leads to the server that the topology promised; the reader of a link never waits. With certificates
//! ([`Certificates`]) connections are encrypted, and both ends are who they say they are.
//!
//! Left out: which server to call (`router`), what frames mean (`forward`, `session`).

mod admission;
pub(crate) mod bench_support;
mod codec;
mod config;
mod connector;
mod error;
mod family;
mod greeted;
mod hello;
mod kept;
mod leaving;
mod link;
mod links;
mod metrics;
mod opener;
mod outbound;
mod pending;
pub(crate) mod pitaya;
mod place;
pub(crate) mod proto;
mod questions;
mod reader;
mod secure;
mod serve;
#[cfg(test)]
pub(crate) mod tests;
mod waiter;

pub(crate) use config::{Config, LEAST_FRAME};
pub(crate) use error::Error;
pub(crate) use family::{Caller, Channels, Families, Identity, LinkEvents, Outcome, Question, Requests, Sessions};
pub(crate) use kept::Kept;
pub(crate) use link::{Link, Standing};
pub(crate) use links::Links;
pub(crate) use secure::Certificates;
#[cfg(test)]
pub(crate) use serve::{Far, serve_incoming};
pub(crate) use serve::{bind, serve};
pub(crate) use waiter::Waiter;
