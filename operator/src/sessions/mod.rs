//! How many sessions each server holds, asked of the servers themselves and remembered.
//!
//! A server is asked on its admin port, `GET /status`: at most every ten seconds while something depends on it (a drain,
//! autoscaling), else every minute; once more at the moment when it begins to take messages, and once when there are to be
//! fewer servers. However often a run is made in between, the answer is the one from before. A server that does not answer
//! keeps no other from being asked, and counts with what it said last, until its container ends.
//!
//! Servers in another language cannot be asked. What they hold is what frontends keep to them: sessions with a message in
//! flight, and those whose choice is sticky. That is known when all frontends said it.

mod ask;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use parking_lot::Mutex;
use tokio::time::Instant;

use self::ask::{Client, Said};
use crate::pod::{address, is_ready};

/// How often servers are asked while something depends on it.
pub(crate) const OFTEN: Duration = Duration::from_secs(10);

/// How often they are asked otherwise.
pub(crate) const SELDOM: Duration = Duration::from_mins(1);

/// How many servers of a type are asked at a time.
const AT_A_TIME: usize = 32;

/// What the servers of a type hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    /// By the uid of the pod, of those that ever answered.
    held: HashMap<String, u64>,
    /// Whether all that take messages, or all frontends, answered when they were last asked.
    pub(crate) complete: bool,
    /// After how long they can be asked again.
    pub(crate) next: Duration,
}

impl Counts {
    /// Of servers of which nothing is known.
    pub(crate) fn unknown() -> Self {
        Self { held: HashMap::new(), complete: false, next: SELDOM }
    }

    /// What these servers hold; those that do not answer are not in it.
    #[cfg(test)]
    pub(crate) fn of(held: &[(&str, u64)]) -> Self {
        let held = held.iter().map(|(uid, count)| ((*uid).to_owned(), *count)).collect();
        Self { held, complete: true, next: OFTEN }
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

/// The servers of several types, by the name under which each type is remembered.
pub(crate) type ByType = BTreeMap<String, Vec<Arc<Pod>>>;

/// Asks servers, and remembers what they said.
#[derive(Debug)]
pub(crate) struct Survey {
    client: Client,
    asked: Mutex<HashMap<String, Asked>>,
}

/// What is remembered of a type.
#[derive(Debug, Default)]
struct Asked {
    /// When all of its servers were asked.
    all_at: Option<Instant>,
    /// By the uid of the pod, of those that were asked.
    servers: HashMap<String, Server>,
}

#[derive(Debug)]
struct Server {
    /// Whether it took messages when it was asked.
    was_ready: bool,
    /// What it said when it last answered.
    said: Option<Arc<Said>>,
    /// Whether that was when it was last asked.
    answers: bool,
}

/// What servers of a type said.
struct Answers {
    /// What each said last, by its uid.
    said: HashMap<String, Arc<Said>>,
    /// Whether all that take messages answered when they were last asked.
    complete: bool,
    /// After how long they can be asked again.
    next: Duration,
}

impl Survey {
    /// Ask servers at this port.
    pub(crate) fn new(port: u16) -> Self {
        Self { client: Client::new(port), asked: Mutex::default() }
    }

    /// What the servers of a type hold, as of at most `interval` ago.
    pub(crate) async fn counts(&self, server_type: &str, pods: &[Arc<Pod>], interval: Duration) -> Counts {
        let Answers { said, complete, next } = self.said(server_type, pods, interval).await;
        Counts { held: said.into_iter().map(|(uid, said)| (uid, said.held)).collect(), complete, next }
    }

    /// What servers that cannot be asked hold, as `frontends` said at most `interval` ago.
    pub(crate) async fn kept(&self, frontends: &ByType, pods: &[Arc<Pod>], interval: Duration) -> Counts {
        let mut held: HashMap<String, u64> = pods.iter().filter_map(|pod| Some((pod.uid()?, 0))).collect();
        let mut counts = Counts::unknown();
        let mut is_known = !frontends.is_empty();
        counts.complete = is_known;
        for (server_type, frontends) in frontends {
            let Answers { said, complete, next } = self.said(server_type, frontends, interval).await;
            counts.next = counts.next.min(next);
            counts.complete &= complete;
            is_known &=
                frontends.iter().all(|pod| !is_ready(pod) || pod.uid().is_some_and(|uid| said.contains_key(&uid)));
            for (server, kept) in said.values().flat_map(|said| &said.kept) {
                held.entry(server.clone()).and_modify(|held| *held += kept);
            }
        }
        if is_known {
            counts.held = held;
        }
        counts
    }

    /// Forget a type.
    pub(crate) fn forget(&self, server_type: &str) {
        self.asked.lock().remove(server_type);
    }

    /// Forget all types.
    pub(crate) fn forget_all(&self) {
        self.asked.lock().clear();
    }

    /// What servers of a type said. One that does not answer may well be the one that has most to do, so what it said
    /// before is kept.
    async fn said(&self, server_type: &str, pods: &[Arc<Pod>], interval: Duration) -> Answers {
        let due = self.due(server_type, pods, interval);
        let answers = stream::iter(due).map(async |(uid, address)| match self.client.ask(address).await {
            Ok(said) => (uid, Some(Arc::new(said))),
            Err(error) => {
                tracing::debug!(%address, %error, "server did not say how many sessions it holds");
                (uid, None)
            }
        });
        let answers: Vec<_> = answers.buffer_unordered(AT_A_TIME).collect().await;
        let mut asked = self.asked.lock();
        let asked = asked.entry(server_type.to_owned()).or_default();
        for (uid, said) in answers {
            if let Some(server) = asked.servers.get_mut(&uid) {
                server.answers = said.is_some();
                server.said = said.or(server.said.take());
            }
        }
        let answers =
            |pod: &Pod| pod.uid().and_then(|uid| asked.servers.get(&uid)).is_some_and(|server| server.answers);
        let complete = pods.iter().all(|pod| !is_ready(pod) || answers(pod));
        let known = asked.servers.iter().filter_map(|(uid, server)| Some((uid.clone(), server.said.clone()?)));
        let since = asked.all_at.map_or(Duration::ZERO, |at| at.elapsed());
        Answers { said: known.collect(), complete, next: interval.max(OFTEN).saturating_sub(since) }
    }

    /// The servers that are to be asked now: all when it is time, else those that take messages and did not before. They
    /// count as asked, so that another run does not ask them as well. Those that have no address have ended, and hold nothing.
    fn due(&self, server_type: &str, pods: &[Arc<Pod>], interval: Duration) -> Vec<(String, IpAddr)> {
        let mut asked = self.asked.lock();
        let Asked { all_at, servers } = asked.entry(server_type.to_owned()).or_default();
        let all = all_at.is_none_or(|at| at.elapsed() >= interval);
        if all {
            *all_at = Some(Instant::now());
        }
        let mut due = Vec::new();
        let mut before = std::mem::take(servers);
        for pod in pods {
            let (Some(uid), Some(address), is_ready) = (pod.uid(), address(pod), is_ready(pod)) else { continue };
            let known = before.remove(&uid);
            let is_new = is_ready && known.as_ref().is_none_or(|server| !server.was_ready);
            let asked = all || is_new;
            let server = match known {
                Some(known) => Server { was_ready: known.was_ready || asked && is_ready, ..known },
                None if asked => Server { was_ready: is_ready, said: None, answers: false },
                None => continue,
            };
            due.extend(asked.then(|| (uid.clone(), address)));
            servers.insert(uid, server);
        }
        due
    }
}
