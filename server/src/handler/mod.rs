//! Runs user code: after `dispatch` or `forward` have decided that a message is for this server, and a lane that it is its
//! turn.
//!
//! A game registers async functions in a [`Service`]; their arguments are taken from the message by extractors
//! ([`FromContext`](crate::request::FromContext)) and what they return becomes the answer ([`IntoReply`]). The
//! [`Registry`] finds the [`Entry`] of a route, and [`execute`] runs it with its hooks: a panic, an endless wait or a late
//! answer costs nobody but the request itself. Codes of application errors survive whatever wraps them.
//!
//! It leaves out order (lanes do that), answering the client, and its timers: the frontend answers by its own.

mod function;
mod marks;

mod failure;
mod payload;
mod reply;

mod hooks;
mod service;

mod counters;
mod entry;
mod log_limit;
mod registry;

mod execute;
mod lane_task;
mod runtime;
mod supervise;

#[cfg(test)]
mod tests;

pub(crate) use self::lane_task::{LaneJobs, LaneTask, Turn};
pub use self::{
    counters::Counts,
    entry::{Entry, Schemas},
    execute::{Execution, execute},
    function::Handler,
    hooks::{AfterHook, BeforeHook},
    marks::{Marked, Marks, blocking, concurrent, detached},
    payload::{Encoded, Json, Payload, Proto},
    registry::{Registry, RegistryBuilder, RegistryError},
    reply::{IntoReply, Reply},
    runtime::{Config, Runtime},
    service::Service,
    supervise::Ended,
};
pub use crate::request::{Kind, State};
