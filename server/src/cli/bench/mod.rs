//! `cereus bench`: a load generator that speaks the client protocol.
//!
//! Four kinds of load: `echo` (requests on open connections: so many in flight, or at a fixed rate), `idle` (open
//! connections that only answer heartbeats), `churn` (connections that come and go) and `broadcast` (messages that all
//! members of a group get). Each reports what the client saw and what it cost the servers whose process ids were given.
//!
//! The generator shares its machine with what it measures, so that it has one thread, writes all it has for a connection
//! at once and answers a burst of responses with one write. Its load is bounded in count and in time, and it refuses
//! targets on other machines unless told otherwise. It compares nothing: that takes two runs and a reader.

#![allow(clippy::cast_precision_loss, reason = "what is measured fits the 52 bits of a float many times over")]

mod arguments;
mod broadcast;
mod churn;
mod echo;
mod idle;
mod opening;
mod pace;
mod pending;
mod process;
mod report;
mod statistics;
#[cfg(test)]
mod tests;

use anyhow::bail;

pub(crate) use arguments::BenchArguments;
pub(super) use arguments::time;

use self::arguments::{Load, Target};
use super::client::{Endpoint, Transport};

/// Generate the load, then print what was measured.
pub(crate) fn run(arguments: &BenchArguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match &arguments.load {
            Load::Echo(echo) => report::print(&echo::run(echo).await?, echo.target.json),
            Load::Idle(idle) => report::print(&idle::run(idle).await?, idle.target.json),
            Load::Broadcast(broadcast) => report::print(&broadcast::run(broadcast).await?, broadcast.target.json),
            Load::Churn(churn) => report::print(&churn::run(churn).await?, churn.target.json),
        }
    })
}

/// The endpoint that `target` names, if load may be put on it.
async fn endpoint(target: &Target) -> anyhow::Result<Endpoint> {
    let transport = if target.ws { Transport::WebSocket } else { Transport::Tcp };
    let endpoint = Endpoint::resolve(&target.address, transport).await?;
    if !endpoint.is_loopback() && !target.allow_remote {
        bail!("{} is not on this machine: pass --allow-remote if load may be put on it", endpoint.name());
    }
    Ok(endpoint)
}
