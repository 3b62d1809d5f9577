//! Ordered queues of work, one per key: messages of one session to one server type run one at a time, in their order.
//!
//! Dispatch and forward put a message into a lane; whoever gets [`Pushed::Start`] runs that lane to its end, on the
//! worker that [`Placement`] chose. A lane exists only while it has work or somebody holds it. Backends keep their lanes
//! in one table per process ([`Lanes`]), so that after a reconnect a new link queues behind a handler that still runs; a
//! frontend's own type needs no table, because the connection itself keeps the [`LocalLane`].
//!
//! What is promised: each job is handed out exactly once, in the order pushed, and never to two at a time per key.
//!
//! It leaves out the bounds (the session's 64 messages and the link's 65 536 requests are counted by those who push),
//! tasks (whoever starts a lane spawns it) and all knowledge of what a job is.

mod queue;

mod table;

mod run;

mod config;

mod local;

mod placement;

mod spawner;

#[cfg(test)]
mod tests;

pub(crate) use config::Config;
pub(crate) use local::{LocalLane, LocalRun};
#[cfg(test)]
pub(crate) use placement::HANDOVER_MARGIN;
pub(crate) use placement::{Busy, Placement};
pub(crate) use run::LaneRun;
pub(crate) use spawner::Spawner;
pub(crate) use table::{Lanes, Pushed};
