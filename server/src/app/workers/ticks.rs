//! Signs of life of the workers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// When each worker last said that it is alive. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Ticks {
    started: Instant,
    /// Milliseconds from `started`, by worker.
    last: Arc<[AtomicU64]>,
}

impl Ticks {
    /// All workers count as alive when they start.
    pub(in crate::app) fn starting(count: usize, now: Instant) -> Self {
        Self { started: now, last: (0..count).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(in crate::app) fn record(&self, worker: usize, now: Instant) {
        if let Some(last) = self.last.get(worker) {
            last.store(self.millis(now), Ordering::Relaxed);
        }
    }

    /// The workers that have been silent for longer than `limit`, with how long.
    pub(crate) fn silent(&self, now: Instant, limit: Duration) -> Vec<(usize, Duration)> {
        let now = self.millis(now);
        let silence = |last: &AtomicU64| Duration::from_millis(now.saturating_sub(last.load(Ordering::Relaxed)));
        let all = self.last.iter().map(silence).enumerate();
        all.filter(|(_, silence)| *silence > limit).collect()
    }

    fn millis(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}
