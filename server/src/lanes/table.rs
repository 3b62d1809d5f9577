//! The lanes of a process, found by key.

use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::queue::Queue;
use super::run::LaneRun;

/// How many locks the table is spread over: enough that workers seldom meet, few enough that counting stays cheap.
const SHARDS: usize = 64;

/// All lanes of one kind in a process, by key.
///
/// `S` is what a lane keeps while it lives, usually an `Arc` of the session's copy; it is cloned once for each run.
pub(crate) struct Lanes<K, S, J> {
    shards: Box<[Arc<Shard<K, S, J>>]>,
}

/// What became of a pushed job.
#[must_use = "a lane that is to be started stands still until it is run"]
#[derive(Debug)]
pub(crate) enum Pushed<R> {
    /// It waits in a lane that somebody else runs.
    Queued,
    /// The caller must run the lane: hand out its jobs until there is none.
    Start(R),
}

/// A part of the table with a lock of its own, on cache lines of its own.
#[repr(align(128))]
pub(super) struct Shard<K, S, J>(Mutex<FxHashMap<K, Lane<S, J>>>);

struct Lane<S, J> {
    queue: Queue<J>,
    /// Concurrent jobs that still run: each has a guard.
    guards: u32,
    /// Pins and subscriptions, counted by those who ask for them.
    holds: u32,
    state: S,
}

impl<S, J> Lane<S, J> {
    const fn is_over(&self) -> bool {
        !self.queue.is_running() && self.guards == 0 && self.holds == 0
    }
}

impl<K, S, J> Lanes<K, S, J>
where
    K: Eq + Hash + Clone,
    S: Clone,
{
    /// A table without lanes.
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Arc::new(Shard(Mutex::default()))).collect() }
    }

    /// Adds a job to the lane of `key`.
    ///
    /// The lane's state is made by `open` from the job when there is no such lane. It runs inside the table's lock: it has
    /// to be short and must not come back to the table.
    pub(crate) fn push(&self, key: K, job: J, open: impl FnOnce(&J) -> S) -> Pushed<LaneRun<K, S, J>> {
        let shard = self.shard(&key);
        let mut lanes = shard.0.lock();
        let (first, state, key) = match lanes.entry(key) {
            Entry::Occupied(mut entry) => {
                let lane = entry.get_mut();
                match lane.queue.push(job) {
                    None => return Pushed::Queued,
                    Some(first) => (first, lane.state.clone(), entry.key().clone()),
                }
            }
            Entry::Vacant(entry) => {
                let (key, state) = (entry.key().clone(), open(&job));
                let mut queue = Queue::idle();
                let Some(first) = queue.push(job) else { return Pushed::Queued };
                entry.insert(Lane { queue, guards: 0, holds: 0, state: state.clone() });
                (first, state, key)
            }
        };
        drop(lanes);
        Pushed::Start(LaneRun::new(Arc::clone(shard), key, state, first))
    }

    /// The state of the lane of `key`, while there is one.
    #[cfg(test)]
    pub(crate) fn state(&self, key: &K) -> Option<S> {
        self.shard(key).0.lock().get(key).map(|lane| lane.state.clone())
    }

    /// Keeps the state of the lane of `key` although its queue may run empty, as a pin or a subscription does.
    ///
    /// Returns whether there is such a lane. Counted: as many calls of [`Lanes::release`] undo it.
    pub(crate) fn hold(&self, key: &K) -> bool {
        let mut lanes = self.shard(key).0.lock();
        let Some(lane) = lanes.get_mut(key) else { return false };
        lane.holds = lane.holds.saturating_add(1);
        true
    }

    /// Undoes one [`Lanes::hold`]; without one it does nothing.
    #[cfg(test)]
    pub(crate) fn release(&self, key: &K) {
        let removed = self.shard(key).change(key, |lane| lane.holds = lane.holds.saturating_sub(1));
        drop(removed);
    }

    /// Undoes every [`Lanes::hold`] of `key`, because its session is closed. Jobs that wait or run keep their lane.
    pub(crate) fn release_all(&self, key: &K) {
        let removed = self.shard(key).change(key, |lane| lane.holds = 0);
        drop(removed);
    }

    /// How many lanes there are, held ones without work included.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len()).sum()
    }

    /// Whether there is no lane.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.0.lock().is_empty())
    }

    /// How many lanes are kept by [`Lanes::hold`].
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.count(|lane| usize::from(lane.holds > 0))
    }

    /// How many jobs wait in all lanes, those not counted that were handed out. Walks the table: for status pages.
    pub(crate) fn jobs(&self) -> usize {
        self.count(|lane| lane.queue.len())
    }

    fn count(&self, each: impl Fn(&Lane<S, J>) -> usize) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().values().map(&each).sum::<usize>()).sum()
    }

    #[expect(clippy::indexing_slicing, reason = "the index is masked by the constant length")]
    fn shard(&self, key: &K) -> &Arc<Shard<K, S, J>> {
        // The maps take the lowest bits of the same hash, so these would put all keys of a shard into few buckets.
        let bits = FxBuildHasher.hash_one(key) >> 16;
        &self.shards[bits as usize & (SHARDS - 1)]
    }
}

impl<K: Eq + Hash, S, J> Shard<K, S, J> {
    /// The next job of a running lane, or the end of its run. The check for emptiness and the removal are one step.
    pub(super) fn next(&self, key: &K) -> Option<J> {
        let mut lanes = self.0.lock();
        let lane = lanes.get_mut(key)?;
        let job = lane.queue.next();
        if job.is_some() || !lane.is_over() {
            return job;
        }
        let removed = lanes.remove(key);
        drop(lanes);
        drop(removed);
        None
    }

    /// Counts one more concurrent job.
    pub(super) fn guard(&self, key: &K) {
        if let Some(lane) = self.0.lock().get_mut(key) {
            lane.guards += 1;
        }
    }

    /// A concurrent job ended.
    pub(super) fn unguard(&self, key: &K) {
        let removed = self.change(key, |lane| lane.guards = lane.guards.saturating_sub(1));
        drop(removed);
    }

    /// A run ends without having reached its end; what waits is dropped after the lock.
    pub(super) fn abandon(&self, key: &K) {
        let mut jobs = std::collections::VecDeque::new();
        let removed = self.change(key, |lane| jobs = lane.queue.abandon());
        drop(removed);
        drop(jobs);
    }

    /// Changes a lane and takes it out when nothing keeps it any more. The caller drops it outside the lock.
    fn change(&self, key: &K, change: impl FnOnce(&mut Lane<S, J>)) -> Option<Lane<S, J>> {
        let mut lanes = self.0.lock();
        let lane = lanes.get_mut(key)?;
        change(lane);
        if lane.is_over() { lanes.remove(key) } else { None }
    }
}

impl<K, S, J> Default for Lanes<K, S, J>
where
    K: Eq + Hash + Clone,
    S: Clone,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<K, S, J> fmt::Debug for Lanes<K, S, J> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lanes: usize = self.shards.iter().map(|shard| shard.0.lock().len()).sum();
        formatter.debug_struct("Lanes").field("lanes", &lanes).finish_non_exhaustive()
    }
}
