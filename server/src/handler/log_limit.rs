use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Between two log lines of one kind about one handler: what clients can cause must not fill the log.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// Lets one log line through per interval.
#[derive(Debug)]
pub(super) struct LogLimit {
    since: Instant,
    /// When the next line may be written, in milliseconds from `since`.
    next: AtomicU64,
}

impl LogLimit {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), next: AtomicU64::new(0) }
    }

    /// Whether a line may be written now; the caller then writes it.
    pub(super) fn allows(&self, now: Instant) -> bool {
        let now = now.saturating_duration_since(self.since).as_millis() as u64;
        let next = self.next.load(Ordering::Relaxed);
        let then = now + INTERVAL.as_millis() as u64;
        // Of several workers that come at once, one writes.
        now >= next && self.next.compare_exchange(next, then, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
