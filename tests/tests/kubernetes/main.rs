//! What happens on a real cluster: one file for each promise, one cluster for all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod autoscaling;
mod definition;
mod harness;
mod images;
mod rollout;
mod scale;
mod servers;
mod topology;

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use cereus_tests::{kubernetes::Cluster, process::eventually};
use tokio::sync::OnceCell;

/// How long the cluster may take for what it does at once.
const SOON: Duration = Duration::from_secs(30);
/// Where the operator runs.
const OPERATOR_NAMESPACE: &str = "cereus-system";
/// The stock binary with the built-in game, for ServerTypes of tests.
const SERVER_IMAGE: &str = "cereus.test/cereus:test";

/// The cluster of all tests, which has one operator for all namespaces. The calling test is in its network from now on.
async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<anyhow::Result<Cluster>> = OnceCell::const_new();
    let cluster = CLUSTER.get_or_init(prepare).await.as_ref().unwrap();
    cluster.enter().unwrap();
    cluster
}

async fn prepare() -> anyhow::Result<Cluster> {
    let cluster = Cluster::start()?;
    let (operator, server) =
        tokio::try_join!(cluster.load_image("cereus-operator", "test"), cluster.load_image("cereus", "test"))?;
    assert_eq!(server, SERVER_IMAGE);
    install(&cluster, &operator).await?;
    // The API server describes a new resource some moments after it serves it.
    let described = || async { cluster.kubectl(&["explain", "gst"]).await.map(Some) };
    eventually("ServerTypes in the API", SOON, described).await?;
    Ok(cluster)
}

/// Install the operator as users do, and wait until it works.
async fn install(cluster: &Cluster, image: &str) -> anyhow::Result<()> {
    let (repository, tag) = image.rsplit_once(':').context("the image has a tag")?;
    let (repository, tag) = (format!("image.repository={repository}"), format!("image.tag={tag}"));
    let values = ["--set", &repository, "--set", &tag, "--set", "image.pullPolicy=Never"];
    let chart = chart("cereus");
    let command = ["install", "cereus", &chart, "--namespace", OPERATOR_NAMESPACE, "--create-namespace", "--wait"];
    let installed = cluster.helm(&[&command[..], &["--timeout=1m"], &values].concat()).await;
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
