//! How many sessions each server holds, asked of the servers themselves and remembered.
//!
//! A server is asked on its admin port, `GET /status`: at most every ten seconds while something depends on it (a drain,
//! autoscaling), else every minute, and once when there are to be fewer servers. However often a run is made in between,
//! the answer is the one from before. A server that does not answer keeps no other from being asked, and is not counted.

mod ask;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::ask::Client;

/// How often servers are asked while something depends on it.
pub(crate) const OFTEN: Duration = Duration::from_secs(10);

/// How often they are asked otherwise.
pub(crate) const SELDOM: Duration = Duration::from_mins(1);

/// How many servers of a type are asked at a time.
const AT_A_TIME: usize = 32;

/// What the servers of a type hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    /// By the uid of the pod, of those that answered.
    held: HashMap<String, u64>,
    /// After how long they can be asked again.
    pub(crate) next: Duration,
}

impl Counts {
    /// Of servers that cannot be asked.
    pub(crate) fn unknown() -> Self {
        Self { held: HashMap::new(), next: SELDOM }
    }

    /// What these servers hold; those that do not answer are not in it.
    #[cfg(test)]
    pub(crate) fn of(held: &[(&str, u64)]) -> Self {
        Self { held: held.iter().map(|(uid, count)| ((*uid).to_owned(), *count)).collect(), next: OFTEN }
    }

    /// The sessions that a server holds, if it said so.
    pub(crate) fn of_pod(&self, pod: &Pod) -> Option<u64> {
        self.held.get(pod.metadata.uid.as_deref()?).copied()
    }

    /// The sessions of all, if any said so.
    pub(crate) fn total(&self, pods: &[Arc<Pod>]) -> Option<u64> {
        let known: Vec<_> = pods.iter().filter_map(|pod| self.of_pod(pod)).collect();
        (!known.is_empty()).then(|| known.iter().sum())
    }
}

/// Asks servers, and remembers what they said.
#[derive(Debug)]
pub(crate) struct Survey {
    client: Client,
    asked: Mutex<HashMap<String, Asked>>,
}

#[derive(Debug, Clone)]
struct Asked {
    at: Instant,
    held: HashMap<String, u64>,
}

impl Survey {
    /// Ask servers at this port.
    pub(crate) fn new(port: u16) -> Self {
        Self { client: Client::new(port), asked: Mutex::default() }
    }

    /// What the servers of a type hold, as of at most `interval` ago. Two runs over one type are never made at once.
    pub(crate) async fn counts(&self, server_type: &str, pods: &[Arc<Pod>], interval: Duration) -> Counts {
        let before = self.asked.lock().get(server_type).cloned();
        if let Some(before) = before.filter(|before| before.at.elapsed() < interval) {
            let next = interval.saturating_sub(before.at.elapsed());
            return Counts { held: before.held, next };
        }
        let asked = Asked { at: Instant::now(), held: self.ask(pods).await };
        let held = asked.held.clone();
        self.asked.lock().insert(server_type.to_owned(), asked);
        Counts { held, next: interval.max(OFTEN) }
    }

    /// Forget a type.
    pub(crate) fn forget(&self, server_type: &str) {
        self.asked.lock().remove(server_type);
    }

    async fn ask(&self, pods: &[Arc<Pod>]) -> HashMap<String, u64> {
        let running: Vec<_> = pods.iter().filter_map(|pod| Some((pod.uid()?, address(pod)?))).collect();
        let answers = stream::iter(running).map(async |(uid, address)| match self.client.held(address).await {
            Ok(held) => Some((uid, held)),
            Err(error) => {
                tracing::debug!(%address, %error, "server did not say how many sessions it holds");
                None
            }
        });
        answers.buffer_unordered(AT_A_TIME).filter_map(async |answer| answer).collect().await
    }
}

/// Where a server can be asked: its pod has an address, and its container runs.
fn address(pod: &Pod) -> Option<IpAddr> {
    let status = pod.status.as_ref()?;
    let running = |container: &k8s_openapi::api::core::v1::ContainerStatus| {
        container.state.as_ref().is_some_and(|state| state.running.is_some())
    };
    let runs = status.container_statuses.iter().flatten().any(running);
    status.pod_ip.as_ref().filter(|_| runs)?.parse().ok()
}
