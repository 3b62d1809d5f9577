//! Choose a server of a type for a message.
//!
//! Between `forward`, which has a message, and `rpc`, which has the links. It promises one rule for every choice: ready
//! servers first, then those that still serve, then any that is linked and stays; a server that said Draining never, and
//! one whose link is lost only when nothing else is left. Among equals the type's policy decides. The choice itself is a
//! pure function ([`choose`]) of what the caller knows about each server; `Router` knows it, for one worker: it opens links
//! to all servers of a type on the type's first use, and to new ones as they appear.
//!
//! It leaves out who is in the cluster (`topology`), connecting (`rpc`), and keeping a session where its messages are
//! (`forward`).

mod candidate;
mod hash;
mod policy;
mod service;
#[cfg(test)]
mod tests;

pub use candidate::{Candidate, LinkState, Question, Tier};
pub use hash::{hash, rendezvous_score, session_key};
pub use policy::{RoutingFunction, ask, choose};
pub(crate) use service::{Config, Router, RoutingFunctions};
