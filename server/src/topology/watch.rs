//! Showing snapshots to whoever wants the latest.

use std::sync::Arc;

use tokio::sync::watch;

use super::snapshot::Snapshot;

/// A handle on the latest [`Snapshot`]. Clones are cheap, and each remembers by itself which snapshot it saw last.
#[derive(Debug, Clone)]
pub struct Topology {
    receiver: watch::Receiver<Arc<Snapshot>>,
}

impl Topology {
    /// A view that a [`Publisher`] replaces.
    pub fn channel(first: Snapshot) -> (Publisher, Self) {
        let (sender, receiver) = watch::channel(Arc::new(first));
        (Publisher { sender }, Self { receiver })
    }

    /// A view that never changes: one server alone, and tests.
    pub fn fixed(snapshot: Snapshot) -> Self {
        Self::channel(snapshot).1
    }

    /// The latest snapshot.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.receiver.borrow())
    }

    /// Wait for a view other than the one this handle was made with or last waited for, and return it. When nobody
    /// publishes any more this waits for ever, as the last view then stays.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn changed(&mut self) -> Arc<Snapshot> {
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        Arc::clone(&self.receiver.borrow_and_update())
    }

    /// Wait until nobody publishes any more.
    #[cfg(test)]
    pub(super) async fn closed(&mut self) {
        while self.receiver.changed().await.is_ok() {}
    }
}

/// The side of a source: replaces the snapshot that every [`Topology`] shows.
#[derive(Debug)]
pub struct Publisher {
    sender: watch::Sender<Arc<Snapshot>>,
}

impl Publisher {
    /// Show this snapshot from now on. Those who wait are woken only when it is another view than the last; returns
    /// whether it is.
    pub fn publish(&self, snapshot: Snapshot) -> bool {
        self.sender.send_if_modified(|shown| {
            let is_news = !shown.is_same_view(&snapshot);
            // An unchanged view still brings a fresh count of what was left out.
            if is_news || shown.skipped() != snapshot.skipped() {
                *shown = Arc::new(snapshot);
            }
            is_news
        })
    }
}
