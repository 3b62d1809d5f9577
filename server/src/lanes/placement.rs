//! On which worker a lane runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A lane leaves its link's worker when that has this many more lanes than the least busy worker.
///
/// Crossing workers costs a wake and cold caches, so a small imbalance is cheaper than a hand-over: 64 lanes of 5 µs are
/// a third of a millisecond of work.
pub(crate) const HANDOVER_MARGIN: usize = 64;

/// The lanes that each worker of the process runs. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    workers: Arc<[Arc<Load>]>,
}

/// How many lanes a worker runs, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Load(AtomicUsize);

/// The worker that a lane starts on: `home`, unless that has [`HANDOVER_MARGIN`] more runnable lanes than the least busy.
///
/// Of several least busy workers it is the first. A `home` that is no worker counts as one without lanes.
pub(crate) fn place(home: usize, counts: impl IntoIterator<Item = usize>) -> usize {
    let mut at_home = 0;
    let mut least: Option<(usize, usize)> = None;
    for (worker, count) in counts.into_iter().enumerate() {
        if worker == home {
            at_home = count;
        }
        if least.is_none_or(|(fewest, _)| count < fewest) {
            least = Some((count, worker));
        }
    }
    match least {
        Some((fewest, worker)) if at_home >= fewest.saturating_add(HANDOVER_MARGIN) => worker,
        _ => home,
    }
}

impl Placement {
    /// For a process with this many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| Arc::default()).collect() }
    }

    /// The worker on which a lane of `home`'s links starts now.
    pub(crate) fn choose(&self, home: usize) -> usize {
        // The common case reads one counter, which is the worker's own.
        if self.lanes(home) < HANDOVER_MARGIN {
            return home;
        }
        place(home, self.workers.iter().map(|load| load.0.load(Ordering::Relaxed)))
    }

    /// Counts a lane on `worker` until the guard is dropped: from when it is handed to that worker to the end of its run.
    pub(crate) fn started(&self, worker: usize) -> Busy {
        let load = self.workers.get(worker).map(Arc::clone).unwrap_or_default();
        load.0.fetch_add(1, Ordering::Relaxed);
        Busy(load)
    }

    /// How many lanes `worker` runs.
    pub(crate) fn lanes(&self, worker: usize) -> usize {
        self.workers.get(worker).map_or(0, |load| load.0.load(Ordering::Relaxed))
    }
}

/// A lane that a worker runs; counted until it is dropped.
#[must_use = "the lane is counted only while this lives"]
#[derive(Debug)]
pub(crate) struct Busy(Arc<Load>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
