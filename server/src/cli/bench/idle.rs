//! Open connections that only answer heartbeats.

use std::time::Instant;

use anyhow::anyhow;
use tokio::task::JoinSet;

use super::{
    arguments::IdleArguments,
    opening,
    process::Process,
    report::{IdleReport, MemoryUse},
    statistics::Statistics,
};
use crate::cli::client::Options;

/// An idle connection gets a heartbeat now and then: a large buffer for each would be the generator's own memory.
const READ_SIZE: usize = 256;

pub(super) async fn run(arguments: &IdleArguments) -> anyhow::Result<IdleReport> {
    let target = &arguments.target;
    let endpoint = super::endpoint(target).await?;
    let servers = Process::all(&target.pids)?;
    let options = Options { read_size: READ_SIZE, timeout: target.timeout, ..Options::default() };

    // What a server allocates for its first connection is not what a connection costs.
    let first = opening::open(&endpoint, options, 1, 1, 1).await?;
    let before = resident(&servers)?;
    let start = Instant::now();
    let connections =
        opening::open(&endpoint, options, arguments.connections, arguments.opening, arguments.sources).await?;
    let opening_seconds = start.elapsed().as_secs_f64();

    let mut statistics = Statistics::new()?;
    let end = tokio::time::Instant::now() + arguments.hold;
    let mut holders = JoinSet::new();
    for (mut connection, _) in connections.into_iter().chain(first) {
        holders.spawn(async move {
            let result = tokio::time::timeout_at(end, async {
                while connection.next().await?.is_some() {}
                Err(anyhow!("the server closed the connection"))
            });
            // At the end of the time the connection is given back, so that all are open while memory is read.
            result.await.unwrap_or(Ok(connection))
        });
    }
    let mut held = Vec::new();
    while let Some(result) = holders.join_next().await {
        match result? {
            Ok(connection) => held.push(connection),
            Err(reason) => {
                statistics.disconnected += 1;
                statistics.fail(&reason);
            }
        }
    }
    let after = resident(&servers)?;
    drop(held);

    let rows = servers.iter().zip(before.into_iter().zip(after)).map(|(process, (before, after))| MemoryUse {
        pid: process.pid(),
        name: process.name().to_owned(),
        bytes_before: before,
        bytes_after: after,
        bytes_each: (after as f64 - before as f64) / arguments.connections as f64,
    });
    Ok(IdleReport {
        target: endpoint.name().to_owned(),
        transport: endpoint.transport().to_string(),
        connections: arguments.connections,
        opening_seconds,
        hold_seconds: arguments.hold.as_secs_f64(),
        disconnected: statistics.disconnected,
        failures: statistics.failures,
        servers: rows.collect(),
    })
}

fn resident(processes: &[Process]) -> anyhow::Result<Vec<u64>> {
    processes.iter().map(Process::resident).collect()
}
