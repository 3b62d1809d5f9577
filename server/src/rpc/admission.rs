//! Whether a server still takes the requests of a peer.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{Link, proto};

impl Link {
    /// The peer knows that this server is going away, and sends nothing but pinned messages.
    pub(crate) fn is_drained(&self) -> bool {
        self.drained.load(Relaxed)
    }

    pub(super) fn set_drained(&self) {
        self.drained.store(true, Relaxed);
    }

    /// How many requests of the peer are not answered, kept by who answers them.
    pub(crate) fn admitted(&self) -> &AtomicUsize {
        &self.admitted
    }

    /// Answers request `id` with a refusal: it was not executed and may go elsewhere.
    pub(crate) fn refuse(&self, id: u64, reason: proto::refusal::Reason) {
        self.send(proto::Response::refused(id, reason).into());
    }
}
