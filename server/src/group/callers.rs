//! The servers that opened links to this one: a way to those that the topology does not list yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::rpc::Link;
use crate::topology::Snapshot;

/// The accepted links of all workers, in the order in which they came up.
#[derive(Default)]
pub(super) struct Callers {
    links: Mutex<Vec<Arc<Link>>>,
    /// Counts the changes of `links`.
    changes: AtomicU64,
}

impl Callers {
    pub(super) fn up(&self, link: &Arc<Link>) {
        self.links.lock().push(link.clone());
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(super) fn down(&self, link: &Arc<Link>) {
        self.links.lock().retain(|other| !Arc::ptr_eq(other, link));
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Grows when links come and go.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The newest link of each server that `snapshot` does not list. A frontend has a link to a backend before the news
    /// of that frontend has come there: whom it forwards to must be able to answer its sessions.
    pub(super) fn unlisted(&self, snapshot: &Snapshot) -> Vec<Arc<Link>> {
        let mut unlisted: Vec<Arc<Link>> = Vec::new();
        for link in self.links.lock().iter().rev() {
            let is_new = unlisted.iter().all(|other| other.server() != link.server());
            if is_new && snapshot.server(link.server()).is_none() {
                unlisted.push(link.clone());
            }
        }
        unlisted
    }
}
