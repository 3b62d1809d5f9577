//! Parts of Kubernetes that are stopped.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use super::{command, script};

/// How long the API server may take to answer again.
const PATIENCE: Duration = Duration::from_mins(1);

/// A component such as `kube-apiserver` or `kubelet` that was killed. It is started again when this is dropped, so that the
/// tests after one that failed have a whole cluster.
#[derive(Debug)]
#[must_use = "dropping it starts the component again"]
pub struct Stopped {
    component: Option<String>,
}

impl Stopped {
    pub(super) async fn stop(component: &str) -> anyhow::Result<Stopped> {
        let mut command = tokio::process::Command::new(script("component"));
        command::run(command.args(["stop", component]), None).await?;
        Ok(Stopped { component: Some(component.to_owned()) })
    }

    /// Start it again, and wait until the API server answers; the component itself may need longer.
    pub async fn start(mut self) -> anyhow::Result<()> {
        let Some(component) = self.component.take() else { return Ok(()) };
        tokio::task::spawn_blocking(move || start(&component)).await?
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(component) = self.component.take() {
            // What it was stopped for has failed already.
            let _ = start(&component);
        }
    }
}

fn start(component: &str) -> anyhow::Result<()> {
    let output = Command::new(script("component")).args(["start", component]).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let end = Instant::now() + PATIENCE;
    loop {
        // It tells nobody when it is ready.
        let mut ready = command::inside("kubectl", &["get", "--raw=/readyz"]);
        if ready.stdout(Stdio::null()).stderr(Stdio::null()).status().context("cannot run kubectl")?.success() {
            return Ok(());
        }
        if Instant::now() >= end {
            bail!("the API server does not answer within {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
