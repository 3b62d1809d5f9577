//! Both halves of the way to another server.
//!
//! Outgoing: a [`Flow`] keeps one session's messages to one server type in order on the link that the router chose; user
//! code calls other servers with `App::rpc`. Incoming: [`Incoming`] takes requests from links, runs them in the session's
//! lane with a remote agent as the session's other end, and answers each once; [`Sessions`] carries out what backends ask
//! of the sessions that this frontend holds.
//!
//! Which server is the router's choice; how frames travel is [`rpc`](crate::rpc)'s; the client's answer is dispatch's.

mod answer;
mod call;
mod events;
mod flow;
mod incoming;
mod pins;
mod pitaya;
mod remote_agent;
mod remote_jobs;
mod sessions;
mod user_call;
mod visits;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use answer::result_of;
pub(crate) use events::Events;
pub(crate) use flow::{Dispatch, Flow, Parcel};
pub(crate) use incoming::{Incoming, IncomingParts, RemoteLanes};
pub(crate) use pins::Pins;
pub(crate) use pitaya::{PitayaParts, PitayaService};
pub(crate) use remote_jobs::ON_DISCONNECT;
pub(crate) use sessions::Sessions;
pub(crate) use user_call::UserCalls;
pub(crate) use visits::{Visit, Visits, say_closed};
