//! The lane of a frontend's connection for the frontend's own type.

use std::sync::Arc;

use parking_lot::Mutex;

use super::queue::Queue;
use super::table::Pushed;

/// A lane that its owner keeps, without a table. Idle it takes no memory beside itself.
///
/// The caller bounds it: a session has at most 64 messages anywhere.
#[derive(Debug)]
pub(crate) struct LocalLane<J> {
    queue: Mutex<Queue<J>>,
}

impl<J> LocalLane<J> {
    /// A lane without work.
    pub(crate) const fn new() -> Self {
        Self { queue: Mutex::new(Queue::idle()) }
    }

    /// Adds a job.
    pub(crate) fn push(self: &Arc<Self>, job: J) -> Pushed<LocalRun<J>> {
        match self.queue.lock().push(job) {
            None => Pushed::Queued,
            Some(first) => Pushed::Start(LocalRun { lane: Arc::clone(self), first: Some(first), over: false }),
        }
    }

    /// How many jobs wait, the one that was handed out not counted.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queue.lock().len()
    }

    /// Whether no job waits.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether somebody runs the lane.
    #[cfg(test)]
    pub(crate) fn is_running(&self) -> bool {
        self.queue.lock().is_running()
    }
}

impl<J> Default for LocalLane<J> {
    fn default() -> Self {
        Self::new()
    }
}

/// The right to run a [`LocalLane`]; as [`LaneRun`](super::LaneRun), dropping it early drops the jobs that wait.
#[must_use = "dropping it drops the jobs of the lane"]
#[derive(Debug)]
pub(crate) struct LocalRun<J> {
    lane: Arc<LocalLane<J>>,
    first: Option<J>,
    over: bool,
}

impl<J> LocalRun<J> {
    /// The next job; `None` ends the run, and a later push starts a new one.
    pub(crate) fn next(&mut self) -> Option<J> {
        if self.first.is_some() {
            return self.first.take();
        }
        if self.over {
            return None;
        }
        let job = self.lane.queue.lock().next();
        self.over = job.is_none();
        job
    }
}

impl<J> Drop for LocalRun<J> {
    fn drop(&mut self) {
        if !self.over {
            let unrun = self.lane.queue.lock().abandon();
            drop(unrun);
        }
    }
}
