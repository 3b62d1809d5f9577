//! The right to run a lane, and the guard that keeps one.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::table::Shard;

/// The right to run one lane: there is at most one per key.
///
/// Whoever has it takes jobs with [`LaneRun::next`] until there is none. When it is dropped before that, the jobs that
/// wait are dropped with it, unrun, and the lane ends.
#[must_use = "dropping it drops the jobs of the lane"]
pub(crate) struct LaneRun<K: Eq + Hash, S, J> {
    shard: Arc<Shard<K, S, J>>,
    key: K,
    state: S,
    first: Option<J>,
    over: bool,
}

impl<K: Eq + Hash, S, J> LaneRun<K, S, J> {
    pub(super) const fn new(shard: Arc<Shard<K, S, J>>, key: K, state: S, first: J) -> Self {
        Self { shard, key, state, first: Some(first), over: false }
    }

    /// The next job of the lane. `None` ends the run: the lane is gone from the table, unless somebody holds it, and a
    /// later push starts a new run.
    pub(crate) fn next(&mut self) -> Option<J> {
        if self.first.is_some() {
            return self.first.take();
        }
        if self.over {
            return None;
        }
        let job = self.shard.next(&self.key);
        self.over = job.is_none();
        job
    }

    /// What the lane keeps while it lives.
    pub(crate) const fn state(&self) -> &S {
        &self.state
    }

    /// The lane's key.
    #[cfg(test)]
    pub(crate) const fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Eq + Hash + Clone, S, J> LaneRun<K, S, J> {
    /// Keeps the lane's state until the guard is dropped: for a concurrent job, which runs on while the lane goes on to
    /// the next job or to its end. `None` when the run is over.
    pub(crate) fn hold(&self) -> Option<Hold<K, S, J>> {
        if self.over {
            return None;
        }
        self.shard.guard(&self.key);
        Some(Hold { shard: Arc::clone(&self.shard), key: self.key.clone() })
    }
}

impl<K: Eq + Hash, S, J> Drop for LaneRun<K, S, J> {
    fn drop(&mut self) {
        if !self.over {
            self.shard.abandon(&self.key);
        }
    }
}

impl<K: Eq + Hash + fmt::Debug, S, J> fmt::Debug for LaneRun<K, S, J> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LaneRun").field("key", &self.key).field("over", &self.over).finish_non_exhaustive()
    }
}

/// Keeps a lane's state in the table until it is dropped. See [`LaneRun::hold`].
#[must_use = "dropping it lets the lane go"]
pub(crate) struct Hold<K: Eq + Hash, S, J> {
    shard: Arc<Shard<K, S, J>>,
    key: K,
}

impl<K: Eq + Hash, S, J> Drop for Hold<K, S, J> {
    fn drop(&mut self) {
        self.shard.unguard(&self.key);
    }
}

impl<K: Eq + Hash + fmt::Debug, S, J> fmt::Debug for Hold<K, S, J> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hold").field("key", &self.key).finish_non_exhaustive()
    }
}
