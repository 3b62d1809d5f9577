//! Connections that come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::{
    arguments::ChurnArguments,
    echo::per_second,
    opening,
    process::{Process, Reading},
    report::ChurnReport,
    statistics::Statistics,
};
use crate::cli::client::{Connection, Endpoint, Options};

/// Between its handshake and its end a connection reads little.
const READ_SIZE: usize = 1024;
/// After so many connections that failed in a row, one of the makers gives up.
const MAX_FAILURES: u32 = 20;

/// What the makers of connections share.
struct Run {
    endpoint: Endpoint,
    options: Options,
    sources: u32,
    measured: Instant,
    end: Instant,
    made: AtomicU64,
    statistics: Mutex<Statistics>,
}

pub(super) async fn run(arguments: &ChurnArguments) -> anyhow::Result<ChurnReport> {
    let target = &arguments.target;
    let endpoint = super::endpoint(target).await?;
    let (servers, generator) = (Process::all(&target.pids)?, [Process::own()?]);
    let measured = Instant::now() + arguments.warmup;
    let end = measured + arguments.duration;
    let run = Arc::new(Run {
        endpoint,
        options: Options { read_size: READ_SIZE, timeout: target.timeout, ..Options::default() },
        sources: arguments.sources,
        measured,
        end,
        made: AtomicU64::new(0),
        statistics: Mutex::new(Statistics::new()?),
    });
    let mut makers = JoinSet::new();
    for _ in 0..arguments.opening {
        makers.spawn(make(run.clone()));
    }
    tokio::time::sleep_until(measured.into()).await;
    let before = (Reading::take(&servers)?, Reading::take(&generator)?);
    tokio::time::sleep_until(end.into()).await;
    let after = (Reading::take(&servers)?, Reading::take(&generator)?);
    while let Some(result) = makers.join_next().await {
        result?;
    }

    let statistics = run.statistics.lock();
    Ok(ChurnReport {
        target: run.endpoint.name().to_owned(),
        transport: run.endpoint.transport().to_string(),
        at_once: arguments.opening,
        seconds: arguments.duration.as_secs_f64(),
        connections: statistics.answered,
        per_second: per_second(statistics.answered, arguments.duration),
        handshake_microseconds: statistics.latency(),
        failures: statistics.failures.clone(),
        servers: before.0.until(&after.0, &servers, statistics.answered),
        generator: before.1.until(&after.1, &generator, statistics.answered),
    })
}

/// Make one connection after the other until the end.
async fn make(run: Arc<Run>) {
    let mut failed_in_a_row = 0;
    while Instant::now() < run.end && failed_in_a_row < MAX_FAILURES {
        let number = run.made.fetch_add(1, Ordering::Relaxed);
        let source = opening::source(&run.endpoint, number, run.sources);
        let start = Instant::now();
        let result = Connection::open(&run.endpoint, &Options { source, ..run.options }).await;
        let opened = Instant::now();
        let result = match result {
            Ok((connection, _)) => connection.close().await,
            Err(error) => Err(error),
        };
        let now = Instant::now();
        let mut statistics = run.statistics.lock();
        match result {
            Ok(()) => {
                failed_in_a_row = 0;
                if run.measured <= now && now < run.end {
                    statistics.answered += 1;
                    statistics.record(opened.saturating_duration_since(start));
                }
            }
            Err(error) => {
                failed_in_a_row += 1;
                statistics.fail(&error);
            }
        }
    }
}
