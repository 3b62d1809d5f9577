//! The life of a server: start, serve, drain, close.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::admin::Phase;
use super::application::{Application, Running};
use super::config::Settings;
use super::server::{Server, Sockets, worker_count};
use super::signals::{StopRequests, StopStage};
use super::source;
use super::workers::{Background, Workers};

/// How long tasks may take to end when everything has been closed.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How long after the deadline of a drain requests may still be answered. A pod is killed 30 s after it.
const LAST_ANSWERS: Duration = Duration::from_secs(20);

/// Be a server until it is asked to stop, by a signal or as the settings say.
pub(crate) fn run(settings: Settings, application: Application) -> anyhow::Result<()> {
    let background = Background::start()?;
    let stop = StopRequests::default();
    let signals = {
        let _entered = background.spawner().handle().enter();
        stop.follow_signals().context("signals cannot be received")?
    };
    background.spawner().spawn(signals);
    if settings.stop_with_stdin {
        stop.follow_stdin()?;
    }
    run_until(settings, application, background, &stop)
}

/// Be a server until `stop`.
pub(super) fn run_until(
    settings: Settings,
    application: Application,
    background: Background,
    stop: &StopRequests,
) -> anyhow::Result<()> {
    let workers = Workers::start(worker_count(&settings))?;
    let result = background.block_on(live(settings, application, &background, &workers, stop));
    let stuck = background.block_on(workers.stop(GRACE));
    for worker in stuck {
        tracing::warn!(worker, "a worker did not stop");
    }
    background.stop(Duration::ZERO);
    result
}

async fn live(
    settings: Settings,
    application: Application,
    background: &Background,
    workers: &Workers,
    stop: &StopRequests,
) -> anyhow::Result<()> {
    let source = source::open(&settings.topology, settings.server.namespace.as_deref()).await?;
    let (server, mut sockets) = Server::build(settings, source, application, workers, background, stop.clone())?;
    let mut running = server.open(&mut sockets, background.spawner(), workers.ticks())?;
    let mut stages = stop.subscribe();
    // An error would mean that nobody can ask any more; `stop` is here.
    let asked = async { drop(stages.wait_for(|stage| *stage > StopStage::Serve).await) };
    let is_synced = tokio::select! {
        biased;
        () = asked => false,
        () = server.synced() => true,
    };
    if is_synced {
        serve(&server, &mut sockets, &mut running, stages).await;
    } else {
        tracing::info!("closing before the other servers were known");
    }
    close(&server).await;
    server.enter(Phase::Closing, &running, &mut sockets.observers);
    server.stops.links.cancel();
    server.stops.admin.cancel();
    for node in &server.nodes {
        node.links.close();
    }
    let closed = async {
        for node in &server.nodes {
            node.links.closed().await;
        }
    };
    // Links live on the workers, and a handler may compute without end there.
    if timeout(GRACE, closed).await.is_err() {
        tracing::warn!("links did not close in time");
    }
    Ok(())
}

/// Lets clients in, and comes back when it is time to close.
async fn serve(
    server: &Arc<Server>,
    sockets: &mut Sockets,
    running: &mut Running,
    mut stages: watch::Receiver<StopStage>,
) {
    server.accept(mem::take(&mut sockets.acceptors), running);
    server.enter(Phase::Serving, running, &mut sockets.observers);
    tracing::info!(
        server_type = %running.server_type,
        id = %running.id,
        link = running.link.map(tracing::field::display),
        admin = running.admin.map(tracing::field::display),
        "ready"
    );
    let _ = stages.wait_for(|stage| *stage > StopStage::Serve).await;
    server.enter(Phase::Draining, running, &mut sockets.observers);
    tracing::info!("draining");
    let drained = tokio::select! {
        biased;
        _ = stages.wait_for(|stage| *stage > StopStage::Drain) => false,
        drained = drain(server) => drained,
    };
    tracing::info!(drained, "closing");
}

/// Lets sessions and work end by themselves; true when they did before the deadline.
async fn drain(server: &Arc<Server>) -> bool {
    let config = &server.settings.drain;
    let deadline = Instant::now() + config.linger + config.deadline;
    for node in &server.nodes {
        node.links.drain(config.linger + config.deadline);
    }
    if server.frontend {
        // Load balancers learn late that this server is going.
        sleep(config.linger).await;
    }
    server.stop_accepting();
    for node in &server.nodes {
        node.agents.drain(deadline);
        node.agents.turn_away();
    }
    let spread = config.spread();
    let ended = async {
        left(server).await;
        server.shared.pins.none().await;
        worked(server).await;
    };
    if timeout_at(deadline - spread, ended).await.is_ok() {
        return true;
    }
    let dismissals = server.nodes.iter().zip(&server.spawners).map(|(node, spawner)| {
        let agents = node.agents.clone();
        spawner.spawn(async move { agents.dismiss_all(spread).await })
    });
    let dismissals: Vec<_> = dismissals.collect();
    let rest = async {
        for dismissal in dismissals {
            // A worker that stops drops the task; its connections are gone with it.
            let _ = dismissal.await;
        }
        left(server).await;
        let is_unpinned = timeout_at(deadline, server.shared.pins.none()).await.is_ok();
        worked(server).await;
        is_unpinned
    };
    // No answer takes longer than this, and so no connection is left then.
    let last = server.settings.server.request_timeout.min(LAST_ANSWERS) + GRACE;
    timeout_at(deadline + last, rest).await.unwrap_or(false)
}

/// Resolves when no client is connected and every caller knows that this server is going.
async fn left(server: &Server) {
    for connections in &server.connections {
        connections.tracker().close();
        connections.tracker().wait().await;
    }
    loop {
        let progress = server.shared.progress.notified();
        if server.nodes.iter().all(|node| node.links.are_drained()) {
            break;
        }
        progress.await;
    }
}

/// Resolves when no work is left.
async fn worked(server: &Server) {
    for work in server.shared.work.iter() {
        work.tracker().close();
        work.tracker().wait().await;
    }
}

/// Closes what is left, at once.
async fn close(server: &Server) {
    server.stop_accepting();
    for node in &server.nodes {
        node.agents.close_all();
    }
    let deadline = Instant::now() + GRACE;
    for connections in &server.connections {
        connections.tracker().close();
        if timeout_at(deadline, connections.tracker().wait()).await.is_err() {
            tracing::warn!(worker = connections.worker(), left = connections.tasks(), "connections did not end");
        }
    }
}
