//! How long a server that ended waits for its next start.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST: Duration = Duration::from_secs(10);
/// Who lived for so long starts anew with the first.
const HEALTHY: Duration = Duration::from_secs(30);

/// Doubles from one start to the next.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// How long to wait after a process that lived for `alive`.
    pub(super) fn after(&mut self, alive: Duration) -> Duration {
        if alive >= HEALTHY {
            self.next = FIRST;
        }
        let wait = self.next;
        self.next = LONGEST.min(wait * 2);
        wait
    }
}
