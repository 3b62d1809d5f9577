//! What happens on a real cluster: one file for each promise, one cluster for all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod audit;
mod autoscaling;
mod certificates;
mod charts;
mod commands;
mod counts;
mod definition;
mod faults;
mod harness;
mod images;
mod links;
mod nodes;
mod operators;
mod outage;
mod ownership;
mod rollout;
mod scale;
mod servers;
mod steady;
mod topology;
mod trouble;
mod values;

use std::{path::Path, time::Duration};

use cereus_tests::{kubernetes::Cluster, process::eventually};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The definition of the ServerType.
const DEFINITION: &str = include_str!("../../../crds/servertypes.yaml");
/// How long the cluster may take for what it does at once.
const SOON: Duration = Duration::from_secs(30);
/// How long it may take for what depends on servers that start.
const MINUTE: Duration = Duration::from_mins(1);
/// How long Kubernetes may take to delete what a deleted object owned. It looks for new kinds of resources every 30 s; what
/// it has come upon before that it looks at again after pauses that double.
const COLLECTED: Duration = Duration::from_mins(3);
/// Where the operator runs.
const OPERATOR_NAMESPACE: &str = "cereus-system";
/// The stock binary with the built-in game, for ServerTypes of tests.
const SERVER_IMAGE: &str = concat!("cereus:", env!("CARGO_PKG_VERSION"));

/// The cluster of all tests, which has one operator for all namespaces, whole for as long as this is held. The calling test
/// is in its network from now on.
async fn cluster() -> RwLockReadGuard<'static, Cluster> {
    let cluster = shared().await.read().await;
    cluster.enter().unwrap();
    cluster
}

/// The same for a test that stops parts of it: as long as this is held, no other test uses the cluster.
async fn cluster_alone() -> RwLockWriteGuard<'static, Cluster> {
    let cluster = shared().await.write().await;
    cluster.enter().unwrap();
    cluster
}

async fn shared() -> &'static RwLock<Cluster> {
    static CLUSTER: OnceCell<anyhow::Result<RwLock<Cluster>>> = OnceCell::const_new();
    CLUSTER.get_or_init(async || prepare().await.map(RwLock::new)).await.as_ref().unwrap()
}

async fn prepare() -> anyhow::Result<Cluster> {
    let cluster = Cluster::start()?;
    // As README and charts name them.
    let load = |name| {
        let (cluster, image) = (&cluster, format!("{name}:{}", env!("CARGO_PKG_VERSION")));
        async move { cluster.load_image_as(&image, name).await }
    };
    tokio::try_join!(load("cereus-operator"), load("cereus"))?;
    install(&cluster, &[]).await?;
    // The API server describes a new resource some moments after it serves it.
    let described = || async { cluster.kubectl(&["explain", "gst"]).await.map(Some) };
    eventually("ServerTypes in the API", SOON, described).await?;
    Ok(cluster)
}

/// Install the operator as users do, and wait until it works; or give it these other values.
async fn install(cluster: &Cluster, values: &[&str]) -> anyhow::Result<()> {
    let chart = chart("cereus");
    let command = ["upgrade", "--install", "cereus", &chart, "--namespace", OPERATOR_NAMESPACE, "--create-namespace"];
    let installed = cluster.helm(&[&command[..], &["--reset-values", "--wait", "--timeout=1m"], values].concat()).await;
    if let Err(error) = installed {
        let ask = async |arguments: &[&str]| {
            cluster.kubectl(&[&["--namespace", OPERATOR_NAMESPACE], arguments].concat()).await.unwrap_or_default()
        };
        let logs = ["logs", "--selector=app.kubernetes.io/name=cereus-operator", "--tail=50"];
        let told = [ask(&["describe", "pods"]).await, ask(&logs).await].join("\n");
        return Err(error.context(told));
    }
    Ok(())
}

/// The folder of a chart.
fn chart(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts").join(name).display().to_string()
}
