//! What the connections of a worker came to.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::session::CloseReason;

/// Counters of a worker's connections; any thread may read them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pending: AtomicUsize,
    open: AtomicUsize,
    opened: AtomicU64,
    /// By the reason's number.
    closed: [AtomicU64; REASONS],
}

/// One more than the largest number of a reason.
const REASONS: usize = {
    let mut most = 0;
    let mut rest = CloseReason::ALL;
    while let [reason, others @ ..] = rest {
        if reason.number() as usize > most {
            most = reason.number() as usize;
        }
        rest = others;
    }
    most + 1
};

impl Counts {
    /// Connections before their Ack.
    pub(crate) fn pending(&self) -> usize {
        self.pending.load(Relaxed)
    }

    /// Connections after their Ack: those with a session.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// All connections that ever completed their handshake.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    /// All connections that ended so, before their Ack or after it.
    pub(crate) fn closed(&self, reason: CloseReason) -> u64 {
        self.closed.get(reason.number() as usize).map_or(0, |count| count.load(Relaxed))
    }

    /// A connection has come; what is returned says what becomes of it.
    pub(super) fn arrival(&self) -> Arrival<'_> {
        self.pending.fetch_add(1, Relaxed);
        Arrival { counts: self, end: Some(CloseReason::Internal) }
    }

    pub(super) fn count_opened(&self) {
        self.open.fetch_add(1, Relaxed);
        self.opened.fetch_add(1, Relaxed);
    }

    pub(super) fn count_closed(&self, reason: CloseReason) {
        self.open.fetch_sub(1, Relaxed);
        self.count_reason(reason);
    }

    fn count_reason(&self, reason: CloseReason) {
        if let Some(count) = self.closed.get(reason.number() as usize) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// A connection before its Ack. Counted until it is dropped.
pub(super) struct Arrival<'a> {
    counts: &'a Counts,
    end: Option<CloseReason>,
}

impl Arrival<'_> {
    /// Its handshake is complete.
    pub(super) fn opened(&mut self) {
        self.end = None;
    }

    /// It ended without.
    pub(super) fn failed(&mut self, reason: CloseReason) {
        self.end = Some(reason);
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.counts.pending.fetch_sub(1, Relaxed);
        if let Some(reason) = self.end {
            self.counts.count_reason(reason);
        }
    }
}
