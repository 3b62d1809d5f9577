//! `cereus dev`: a whole game on this machine, as processes of this same executable.
//!
//! It does what a cluster does around servers: starts them, probes them, tells them of each other through EndpointSlice
//! files, restarts what ends, and stops everything. It knows nothing of messages, and the servers do not know that they
//! are not in a cluster.

mod backoff;
mod output;
mod plan;
mod ports;
mod probe;
mod process;
mod registry;

#[cfg(test)]
mod tests;

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use tokio::{sync::watch, task::JoinSet};

use self::{
    output::Output,
    plan::{Plan, Replica},
    process::{Process, State},
    registry::Registry,
};
use super::Logging;
use crate::app::{self, StopRequests, StopStage};

/// Where the frontend listens.
#[derive(Debug, Clone, Args)]
pub(crate) struct DevArguments {
    /// Where clients connect over TCP.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3250")]
    tcp: SocketAddr,
    /// Where clients connect over WebSocket.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3251")]
    ws: SocketAddr,
}

/// Run the built-in game until it is asked to stop.
pub(crate) fn run(arguments: &DevArguments, logging: &Logging) -> anyhow::Result<ExitCode> {
    // What happens is said in lines of its own; the log of this command is for what goes wrong.
    let quiet = std::env::var_os("RUST_LOG").is_none().then_some("warn");
    app::install_telemetry(logging.log.as_deref().or(quiet), app::LogFormat::Human)?;
    let executable = std::env::current_exe().context("the own executable cannot be found")?;
    ports::check(&[("--tcp", arguments.tcp), ("--ws", arguments.ws)])?;
    let directory = tempfile::Builder::new().prefix("cereus-dev-").tempdir().context("no temporary folder")?;
    let plan = Plan::built_in(arguments.tcp, arguments.ws, directory.path(), logging.log.as_deref())?;
    let output = Output::start(plan.replicas.iter().map(|replica| replica.name.len()).max().unwrap_or(0))?;
    let registry = Arc::new(Registry::new(directory.path())?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = StopRequests::default();
    runtime.block_on(async {
        let signals = stop.follow_signals().context("signals cannot be received")?;
        let game = async {
            let mut processes = JoinSet::new();
            let mut servers = Vec::new();
            for replica in &plan.replicas {
                let process = Process::new(replica.clone(), executable.clone(), output.clone(), Arc::clone(&registry));
                servers.push(process.state());
                processes.spawn(process.supervise(stop.subscribe()));
            }
            let announce = announce(&plan, &executable, servers, stop.subscribe(), &output);
            tokio::join!(announce, async { while processes.join_next().await.is_some() {} });
        };
        tokio::select! {
            () = signals => {}
            () = stop_unheard(&output, &stop) => {}
            () = game => {}
        }
        anyhow::Ok(())
    })?;
    // Its tasks hold on to the output.
    drop(runtime);
    output.finish();
    Ok(ExitCode::SUCCESS)
}

/// Say where to connect when every server is ready for the first time and knows the others, and that all is stopping when it is.
async fn announce(
    plan: &Plan,
    executable: &std::path::Path,
    mut servers: Vec<watch::Receiver<State>>,
    mut stages: watch::Receiver<StopStage>,
    output: &Output,
) {
    output.own(&format!("starting {}", plan.names())).await;
    let ready = async {
        for state in &mut servers {
            // A process that is gone for good is stopping, which is seen below.
            if state.wait_for(|state| *state == State::Ready).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        // Each of them has yet to hear of the others.
        for replica in &plan.replicas {
            probe::knows(replica.admin, plan.replicas.len() as u64).await;
        }
    };
    let ready = tokio::select! {
        biased;
        _ = stages.wait_for(|stage| *stage > StopStage::Serve) => false,
        () = ready => true,
    };
    if ready {
        for line in plan.invitation(executable) {
            output.own(&line).await;
        }
        // The sender lives as long as this command.
        let _ = stages.wait_for(|stage| *stage > StopStage::Serve).await;
    }
    output.own("stopping").await;
}

/// Stop when nobody reads what is said; then wait for the game's end for ever.
async fn stop_unheard(output: &Output, stop: &StopRequests) {
    output.closed().await;
    stop.at_least(StopStage::Drain);
    std::future::pending::<()>().await;
}
