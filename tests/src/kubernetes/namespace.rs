//! A test's own part of the cluster.
#![allow(clippy::print_stderr, reason = "what happened in the cluster is shown when a test fails")]

use std::{fs, io::Write as _, net::IpAddr, path::Path, time::Duration};

use anyhow::Context as _;
use serde_json::Value;
use tempfile::NamedTempFile;

use super::{KUBECONFIG, RUN, command, script, watch};

/// Lines that are shown of what a container said.
const SHOWN_LINES: &str = "--tail=100";

/// A namespace. It is deleted when this is dropped, unless it was there before; if that is because a test failed, what
/// happened in it is shown.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    stays: bool,
}

impl Namespace {
    pub(super) async fn create(name: &str) -> anyhow::Result<Namespace> {
        command::kubectl(&["create", "namespace", name], None).await?;
        let namespace = Namespace { name: name.to_owned(), stays: false };
        // Pods are refused until it is there.
        namespace.created("serviceaccount/default", Duration::from_secs(30)).await?;
        Ok(namespace)
    }

    pub(super) fn existing(name: &str) -> Namespace {
        Namespace { name: name.to_owned(), stays: true }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Run `kubectl` in it: what it says on standard output.
    ///
    /// # Errors
    ///
    /// When it fails: what it says on standard error.
    pub async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        command::kubectl(&self.arguments(arguments), None).await
    }

    /// As [`kubectl`](Namespace::kubectl) with manifests, such as `create --dry-run=server`.
    pub async fn send(&self, arguments: &[&str], manifests: &str) -> anyhow::Result<String> {
        let arguments = [arguments, &["--filename", "-"]].concat();
        command::kubectl(&self.arguments(&arguments), Some(manifests)).await
    }

    fn arguments<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [&["--namespace", self.name.as_str()], arguments].concat()
    }

    /// Apply manifests, strictly: an unknown field is an error.
    pub async fn apply(&self, manifests: &str) -> anyhow::Result<()> {
        self.send(&["apply"], manifests).await.map(drop)
    }

    /// An object such as `pod/room-1`, or a list of them when it is only a kind.
    pub async fn get(&self, object: &str) -> anyhow::Result<Value> {
        let text = self.kubectl(&["get", object, "--output", "json"]).await?;
        serde_json::from_str(&text).with_context(|| format!("{object} is not JSON"))
    }

    /// Wait until an object such as `pod/room-1` has a condition such as `Ready`.
    pub async fn condition(&self, object: &str, condition: &str, timeout: Duration) -> anyhow::Result<()> {
        self.wait(object, &format!("condition={condition}"), timeout).await
    }

    /// Wait until there is such an object.
    pub async fn created(&self, object: &str, timeout: Duration) -> anyhow::Result<()> {
        self.wait(object, "create", timeout).await
    }

    /// Wait until there is no such object.
    pub async fn deleted(&self, object: &str, timeout: Duration) -> anyhow::Result<()> {
        self.wait(object, "delete", timeout).await
    }

    /// Wait for what `kubectl wait --for` takes, such as `jsonpath={.status.readyReplicas}=3`.
    pub async fn wait(&self, object: &str, what: &str, timeout: Duration) -> anyhow::Result<()> {
        let (what, timeout) = (format!("--for={what}"), format!("--timeout={}ms", timeout.as_millis()));
        self.kubectl(&["wait", object, &what, &timeout]).await.map(drop)
    }

    /// Watch objects of one kind, such as `endpointslices`, until one, as it was added, changed or deleted, gives
    /// something.
    pub async fn watch<T>(
        &self,
        kind: &str,
        timeout: Duration,
        wanted: impl FnMut(&Value) -> Option<T>,
    ) -> anyhow::Result<T> {
        let arguments = ["get", kind, "--watch", "--output-watch-events", "--output", "json"];
        let command = command::inside("kubectl", &self.arguments(&arguments));
        watch::until(command, timeout, wanted).await.with_context(|| format!("watching {kind} in {}", self.name))
    }

    /// A kubeconfig for a ServiceAccount of this namespace, with its rights alone.
    pub async fn kubeconfig(&self, account: &str) -> anyhow::Result<NamedTempFile> {
        let token = self.kubectl(&["create", "token", account]).await?;
        write_kubeconfig("/users/0/user/token", token.trim())
    }

    /// Run a command line in a folder, as the administrator would who works in this namespace: what it says on standard
    /// output.
    pub async fn shell(&self, folder: &Path, line: &str) -> anyhow::Result<String> {
        let config = write_kubeconfig("/contexts/0/context/namespace", &self.name)?;
        let command = command::inside(
            "sh",
            &["-c", r#"export KUBECONFIG="$0"; eval "$1""#, &config.path().display().to_string(), line],
        );
        let mut command = tokio::process::Command::from(command);
        command::run(command.current_dir(folder), None).await.with_context(|| line.to_owned())
    }

    /// The address of a pod, once it has one.
    pub async fn pod_address(&self, pod: &str) -> anyhow::Result<IpAddr> {
        let address = self.kubectl(&["get", "pod", pod, "--output", "jsonpath={.status.podIP}"]).await?;
        address.parse().with_context(|| format!("pod {pod} has the address `{address}`"))
    }

    /// Kill the server in a pod with SIGKILL, as a crash would.
    pub async fn kill(&self, pod: &str) -> anyhow::Result<()> {
        let path = "jsonpath={.status.containerStatuses[0].containerID}";
        let container = self.kubectl(&["get", "pod", pod, "--output", path]).await?;
        let id = container.strip_prefix("containerd://").with_context(|| format!("pod {pod} runs `{container}`"))?;
        command::run(tokio::process::Command::new(script("kill")).arg(id), None).await.map(drop)
    }

    /// What the containers of a pod have said.
    pub async fn logs(&self, pod: &str) -> anyhow::Result<String> {
        self.kubectl(&["logs", pod, "--all-containers", "--tail=-1"]).await
    }

    /// What there is and was in it, for whoever looks for the reason of a failure.
    fn show(&self) {
        let ask = |arguments: &[&str]| {
            let output = command::inside("kubectl", &self.arguments(arguments)).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        let show = |title: &str, text: &str| eprintln!("--- {}: {title}\n{text}", self.name);
        show("objects", &ask(&["get", "all,endpointslices,servertypes", "--ignore-not-found", "--output", "wide"]));
        show("pods", &ask(&["describe", "pods"]));
        show("events", &ask(&["get", "events", "--sort-by=.metadata.creationTimestamp"]));
        for pod in ask(&["get", "pods", "--output", "name"]).lines() {
            show(pod, &ask(&["logs", pod, "--all-containers", "--prefix", SHOWN_LINES]));
            show(
                &format!("{pod} before it crashed"),
                &ask(&["logs", pod, "--all-containers", "--previous", SHOWN_LINES]),
            );
        }
    }
}

/// The administrator's kubeconfig, with one text in another's place.
fn write_kubeconfig(place: &str, text: &str) -> anyhow::Result<NamedTempFile> {
    let mut config: Value = serde_yaml::from_str(&fs::read_to_string(Path::new(RUN).join(KUBECONFIG))?)?;
    let (parent, key) = place.rsplit_once('/').context("a place has a parent")?;
    let parent = config.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.with_context(|| format!("the administrator's kubeconfig has no {place}"))?.insert(key.into(), text.into());
    let mut file = NamedTempFile::new()?;
    write!(file, "{config}")?;
    Ok(file)
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show();
        }
        if self.stays {
            return;
        }
        // Its pods may take long; nobody waits for them.
        let _ = command::inside("kubectl", &["delete", "namespace", &self.name, "--wait=false"]).output();
    }
}
