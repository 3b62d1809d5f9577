//! The end of a link whose peer has left the topology: when nothing is in flight and nobody holds it.

use std::sync::atomic::Ordering::Relaxed;

use super::{Link, link::wake};

impl Link {
    /// Whether the link has ended or is to end, for good.
    pub(crate) fn is_over(&self) -> bool {
        self.stopped().is_cancelled()
    }

    /// Keeps the link although its peer left the topology and nothing is in flight, until as many `release`.
    pub(crate) fn hold(&self) {
        self.held.fetch_add(1, Relaxed);
    }

    /// Ends a `hold`.
    pub(crate) fn release(&self) {
        // A release without a hold changes nothing.
        let _ = self.held.fetch_update(Relaxed, Relaxed, |held| held.checked_sub(1));
        self.leave_when_idle();
    }

    /// The peer left the topology, or came back to it.
    pub(super) fn set_leaving(&self, leaving: bool) {
        self.leaving.store(leaving, Relaxed);
        self.leave_when_idle();
    }

    pub(super) fn leave_when_idle(&self) {
        if !self.leaving.load(Relaxed) || self.held.load(Relaxed) > 0 {
            return;
        }
        let waker = {
            let mut outbound = self.outbound().lock();
            if outbound.pending.len() > 0 {
                return;
            }
            outbound.finish()
        };
        self.stopped().cancel();
        wake(waker);
    }
}
