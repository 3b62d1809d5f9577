//! A real Kubernetes of one node: API server, controllers, scheduler, kubelet, containers; made by `tests/cluster/`.
//!
//! There is one on a machine at a time, and it is shared by the tests of a process: each has a [`Namespace`] of its own.
//! A thread that has [entered](Cluster::enter) the cluster's network reaches pods and services at their addresses. The
//! cluster ends with the process that started it, however that ends.

mod command;
mod component;
mod namespace;
mod watch;

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub use self::{command::helm_alone, component::Stopped, namespace::Namespace};
use crate::process::binary;

/// Where `tests/cluster/` keeps what can be seen of a cluster.
const RUN: &str = "/run/cereus-cluster";
/// The administrator's kubeconfig there.
const KUBECONFIG: &str = "kubeconfig";

/// A running cluster. It ends when this is dropped, or when the process ends.
#[derive(Debug)]
pub struct Cluster {
    process: Child,
    network: File,
}

impl Cluster {
    /// Bring one up, and wait until it takes pods: some seconds, and many minutes when it was never built on this machine.
    ///
    /// # Errors
    ///
    /// When this machine cannot run one, or runs one already; standard error says what is missing.
    pub fn start() -> anyhow::Result<Cluster> {
        let mut process = Command::new(script("up"))
            .arg("--attached")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run tests/cluster/up")?;
        let output = process.stdout.take().context("the standard output is piped")?;
        let ready = BufReader::new(output).lines().map_while(Result::ok).any(|line| line == "ready");
        if !ready {
            process.wait()?;
            bail!("tests/cluster/up brought up no cluster; it says why on standard error");
        }
        let pid = fs::read_to_string(Path::new(RUN).join("pid"))?;
        let network = File::open(format!("/proc/{}/ns/net", pid.trim()))?;
        Ok(Cluster { process, network })
    }

    /// Move the calling thread, and with it all threads and processes that it starts from now on, into the cluster's
    /// network: the only place where addresses of pods and services answer.
    ///
    /// # Errors
    ///
    /// When the cluster has ended.
    pub fn enter(&self) -> anyhow::Result<()> {
        let kind = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(self.network.as_fd(), kind).context("cannot enter the cluster's network")
    }

    /// The administrator's kubeconfig; its address answers in the cluster's network.
    pub fn kubeconfig(&self) -> PathBuf {
        Path::new(RUN).join(KUBECONFIG)
    }

    /// The API server's log of all requests that change something, a JSON object a line.
    pub fn audit_log(&self) -> PathBuf {
        Path::new(RUN).join("log/audit.jsonl")
    }

    /// Make a namespace for one test.
    pub async fn namespace(&self, name: &str) -> anyhow::Result<Namespace> {
        Namespace::create(name).await
    }

    /// A namespace that is there already, and stays.
    pub fn existing_namespace(&self, name: &str) -> Namespace {
        Namespace::existing(name)
    }

    /// Run `kubectl` as administrator: what it says on standard output.
    ///
    /// # Errors
    ///
    /// When it fails: what it says on standard error.
    pub async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        command::kubectl(arguments, None).await
    }

    /// Run `helm` as administrator: what it says on standard output.
    pub async fn helm(&self, arguments: &[&str]) -> anyhow::Result<String> {
        command::helm(arguments).await
    }

    /// Apply manifests that belong to no namespace.
    pub async fn apply(&self, manifests: &str) -> anyhow::Result<()> {
        command::kubectl(&["apply", "--filename", "-"], Some(manifests)).await.map(drop)
    }

    /// Make an image of a binary of this workspace and give it to the node: its name. Manifests that use it say
    /// `imagePullPolicy: Never`, or leave that to the tag, which is not `latest`.
    pub async fn load_image(&self, name: &str, tag: &str) -> anyhow::Result<String> {
        let image = format!("cereus.test/{name}:{tag}");
        self.load_image_as(&image, name).await?;
        Ok(image)
    }

    /// The same under another name: one with a registry, or a short one.
    pub async fn load_image_as(&self, image: &str, name: &str) -> anyhow::Result<()> {
        let arguments = [OsString::from(image), binary(name)?.into()];
        command::run(tokio::process::Command::new(script("load")).args(arguments), None).await.map(drop)
    }

    /// Kill a component such as `kube-apiserver` or `kubelet`, as a crash would, and wait until it is gone. No other test
    /// may use the cluster until it is started again.
    pub async fn stop(&self, component: &str) -> anyhow::Result<Stopped> {
        Stopped::stop(component).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its standard input ends it.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// A script of `tests/cluster/`.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster").join(name)
}
