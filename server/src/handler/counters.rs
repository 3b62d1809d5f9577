use std::{
    ops::AddAssign,
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

/// What became of the calls of one handler. Every worker adds to it, nobody reads it on the path of a message.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) handled: Counter,
    pub(super) failed: Counter,
    pub(super) panicked: Counter,
    pub(super) dropped: Counter,
    pub(super) expired: Counter,
    pub(super) slow_polls: Counter,
}

impl Counters {
    pub(super) fn counts(&self) -> Counts {
        Counts {
            handled: self.handled.get(),
            failed: self.failed.get(),
            panicked: self.panicked.get(),
            dropped: self.dropped.get(),
            expired: self.expired.get(),
            slow_polls: self.slow_polls.get(),
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of the calls of one handler or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Ran to their end, with a result or an error, in time or late.
    pub handled: u64,
    /// Those of `handled` that are answered with an error.
    pub failed: u64,
    /// Ended by a panic.
    pub panicked: u64,
    /// Dropped because they had not ended when their grace was over.
    pub dropped: u64,
    /// Never begun, because their deadline had passed.
    pub expired: u64,
    /// Polls that held up a worker.
    pub slow_polls: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.handled += other.handled;
        self.failed += other.failed;
        self.panicked += other.panicked;
        self.dropped += other.dropped;
        self.expired += other.expired;
        self.slow_polls += other.slow_polls;
    }
}
