//! The logic that both kinds of lane share.

use std::collections::VecDeque;

/// Room that is made at once when a job has to wait: it seldom waits alone.
const BURST: usize = 8;

/// Jobs that wait behind the one that runs.
///
/// The first job of a lane never enters the deque: it goes straight to the one that runs the lane. So a session with one
/// message in flight costs no allocation.
#[derive(Debug)]
pub(super) struct Queue<J> {
    waiting: VecDeque<J>,
    running: bool,
}

impl<J> Queue<J> {
    /// Nobody runs it, nothing waits.
    pub(super) const fn idle() -> Self {
        Self { waiting: VecDeque::new(), running: false }
    }

    /// Takes a job, or gives it back to the caller, who runs the lane from now on, beginning with that job.
    pub(super) fn push(&mut self, job: J) -> Option<J> {
        if self.running {
            if self.waiting.capacity() == 0 {
                self.waiting.reserve(BURST);
            }
            self.waiting.push_back(job);
            None
        } else {
            self.running = true;
            Some(job)
        }
    }

    /// The next job, or the end of this run: then nobody runs the lane and its memory is given back.
    pub(super) fn next(&mut self) -> Option<J> {
        let job = self.waiting.pop_front();
        if job.is_none() {
            *self = Self::idle();
        }
        job
    }

    /// Ends a run that was given up, and returns what will never be run.
    pub(super) fn abandon(&mut self) -> VecDeque<J> {
        self.running = false;
        std::mem::take(&mut self.waiting)
    }

    /// Whether somebody runs the lane.
    pub(super) const fn is_running(&self) -> bool {
        self.running
    }

    /// How many jobs wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
