//! What happens on a real cluster: one file for each promise, one cluster for all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod definition;
mod faults;
mod game;
mod harness;
mod images;
mod players;
mod topology;

use std::time::Duration;

use cereus_tests::{kubernetes::Cluster, process::eventually};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The definition of the ServerType.
const DEFINITION: &str = include_str!("../../../crds/servertypes.yaml");
/// How long the cluster may take for what it does at once.
const SOON: Duration = Duration::from_secs(30);

/// The cluster of all tests, which knows ServerTypes, whole for as long as this is held. The calling test is in its
/// network from now on.
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
    cluster.apply(DEFINITION).await?;
    // The API server takes them a moment before it says so, and describes them later still.
    let served = || async { cluster.kubectl(&["explain", "gst"]).await.map(Some) };
    eventually("ServerTypes in the API", SOON, served).await?;
    Ok(cluster)
}
