//! The composition root: arguments, runtime, and how the parts are put together, started and stopped.

mod arguments;
mod client;
mod logging;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use cereus_crds::{contract, names::ADMIN_PORT_NUMBER};
use clap::Parser as _;
use futures_util::future::join_all;
use kube::Config;
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::arguments::Arguments;
use crate::{
    admin::Admin,
    controller::{self, Metrics, Settings, Shared, Writer},
    lease::{Keeper, Leadership},
    sessions::Survey,
};

/// How long runs that have begun may take when the operator stops. What they leave undone the next one does.
const STOPPING: Duration = Duration::from_secs(5);

/// Run the operator with the arguments of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    logging::start(&arguments);
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: &Arguments) -> anyhow::Result<()> {
    // Fails only if there is one already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // What the operator does is wait: for the API server, and for servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

/// Run until a signal.
async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::infer().await.context("cannot find out where the API server is")?;
    let client = client::client(&config).context("cannot use what is needed to reach the API server")?;
    let operator_namespace =
        arguments.operator_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let mut registry = Registry::with_prefix("cereus_operator");
    let metrics = Metrics::new(&mut registry);
    let keeper = Keeper::new(client.clone(), &operator_namespace, &arguments.lease, arguments.identity());
    let leadership = keeper.leadership();
    let admin = Admin::new(registry, leadership.clone(), keeper.answered());
    let listener = contract::bind(arguments.listen, std::net::TcpListener::bind);
    let listener = listener.and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    let listener = listener.with_context(|| format!("the admin port cannot listen on {}", arguments.listen))?;
    let shared = Arc::new(Shared::new(
        Settings { admin_namespaces: arguments.admin_namespaces(&operator_namespace), operator_namespace },
        client.clone(),
        Writer::new(client, leadership.clone(), metrics.clone()),
        Survey::new(ADMIN_PORT_NUMBER),
        metrics,
        arguments.concurrency.into(),
    ));
    let (stop, release) = (CancellationToken::new(), CancellationToken::new());
    let tasks = TaskTracker::new();
    tasks.spawn(keeper.run(release.clone().cancelled_owned()));
    let admin = tasks.spawn(admin.serve(listener, release.clone().cancelled_owned()));
    tasks.spawn(stop_on_signal(stop.clone())?);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %arguments.listen,
        namespaces = arguments.namespaces().join(","),
        "operator started"
    );
    lead(&shared, &arguments.namespaces(), leadership, &stop).await;
    // Only now may another operator lead.
    release.cancel();
    tasks.close();
    tasks.wait().await;
    admin.await?.context("the admin port failed")
}

/// Keep the ServerTypes while this operator leads, until `stop`.
async fn lead(shared: &Arc<Shared>, namespaces: &[String], mut leadership: Leadership, stop: &CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = leadership.gained() => shared.forget_all(),
        }
        let scopes: Vec<_> = match namespaces {
            [] => vec![None],
            some => some.iter().map(|namespace| Some(namespace.as_str())).collect(),
        };
        let controllers = scopes
            .into_iter()
            .map(|namespace| controller::run(shared.clone(), namespace, stop.clone().cancelled_owned()));
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(STOPPING).await;
        };
        tokio::select! {
            _ = join_all(controllers) => {}
            () = leadership.lost() => tracing::warn!("leadership lost: runs are broken off"),
            () = deadline => tracing::warn!("runs did not end in time and are broken off"),
        }
    }
}

/// Stop on the first signal.
fn stop_on_signal(stop: CancellationToken) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
    })
}
