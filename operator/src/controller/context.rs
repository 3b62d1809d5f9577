//! What every run works with.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use cereus_crds::Validator;
use kube::{Client, runtime::events::Event};
use parking_lot::Mutex;
use rand::Rng as _;
use tokio::{sync::Semaphore, time::Instant};

use crate::{
    controller::{autoscaling::Enough, caches::Caches, kinds::Kind, metrics::Metrics, writer::Writer},
    sessions::Survey,
};

/// How long after the first failure of an object the next try is.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// The longest time between two tries: when what was wrong is put right, this is how long it takes to be seen.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// How the operator was started.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The operator's own namespace, where authorities are kept.
    pub(crate) operator_namespace: String,
    /// The namespaces whose pods may reach the admin port of servers.
    pub(crate) admin_namespaces: Vec<String>,
}

/// What runs in all namespaces share.
pub(crate) struct Shared {
    /// How the operator was started.
    pub(crate) settings: Settings,
    /// Reads what is not watched.
    pub(crate) client: Client,
    /// Changes objects.
    pub(crate) writer: Writer,
    /// Asks servers.
    pub(crate) survey: Survey,
    /// The rules of manifests.
    pub(crate) validator: Validator,
    /// How many runs are made at a time.
    pub(crate) limit: Semaphore,
    /// What is counted.
    pub(crate) metrics: Metrics,
    memory: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of one ServerType. All of it may be lost: a new leader begins without.
#[derive(Default)]
pub(crate) struct Memory {
    /// How many runs over it failed in a row.
    failures: u32,
    /// For autoscaling: since when fewer servers would have been enough.
    pub(crate) enough: Option<Enough>,
    /// For autoscaling: what was chosen last, which the cache may not show yet.
    pub(crate) chosen: Option<i32>,
    /// How many servers there are to be, when servers were asked because that is fewer than there are.
    pub(crate) fewer: Option<u32>,
    /// Objects that an apply did not change although they are not as they are to be: when, which version of each, and
    /// what was applied.
    pub(crate) unchangeable: BTreeMap<(Kind, String), (Instant, Attempt)>,
    /// What was last said of an object that cannot be read, whose status cannot be read either.
    pub(crate) told: Option<String>,
    /// Events that could not be written yet, the oldest first.
    pub(crate) untold: VecDeque<Event>,
}

/// What an object was when something was applied, and what that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The version of the object.
    pub(crate) version: Option<String>,
    /// The fingerprint of what was applied.
    pub(crate) fingerprint: Option<String>,
}

impl Shared {
    /// What runs share; `concurrency` of them are made at a time.
    pub(crate) fn new(
        settings: Settings,
        client: Client,
        writer: Writer,
        survey: Survey,
        metrics: Metrics,
        concurrency: usize,
    ) -> Self {
        Self {
            settings,
            client,
            writer,
            survey,
            validator: Validator::new(),
            limit: Semaphore::new(concurrency),
            metrics,
            memory: Mutex::default(),
        }
    }

    /// Use what is remembered of a ServerType.
    pub(crate) fn remember<T>(&self, key: &str, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(self.memory.lock().entry(key.to_owned()).or_default())
    }

    /// A run succeeded.
    pub(crate) fn succeeded(&self, key: &str) {
        self.remember(key, |memory| memory.failures = 0);
        self.count_retries();
    }

    /// A run failed: when to try again. Longer each time, and not at the same time as others that failed together.
    pub(crate) fn failed(&self, key: &str, asked: Option<Duration>) -> Duration {
        let failures = self.remember(key, |memory| {
            memory.failures = memory.failures.saturating_add(1);
            memory.failures
        });
        self.count_retries();
        let longest = FIRST_RETRY.saturating_mul(1 << (failures - 1).min(16)).min(LAST_RETRY);
        let jittered = rand::rng().random_range(longest / 2..=longest);
        jittered.max(asked.unwrap_or_default())
    }

    /// How many runs over a ServerType failed in a row.
    pub(crate) fn failures(&self, key: &str) -> u32 {
        self.memory.lock().get(key).map_or(0, |memory| memory.failures)
    }

    /// A ServerType is not there any more.
    pub(crate) fn forget(&self, key: &str) {
        self.memory.lock().remove(key);
        self.survey.forget(key);
        self.count_retries();
    }

    /// This operator leads, perhaps not for the first time: what it remembers, others may have changed since.
    pub(crate) fn forget_all(&self) {
        self.memory.lock().clear();
        self.survey.forget_all();
        self.count_retries();
    }

    fn count_retries(&self) {
        self.metrics.retrying(self.memory.lock().values().filter(|memory| memory.failures > 0).count());
    }
}

/// What runs in one scope work with: a namespace, or all.
pub(crate) struct Context {
    /// What all share.
    pub(crate) shared: Arc<Shared>,
    /// What is known of the cluster.
    pub(crate) caches: Caches,
}
