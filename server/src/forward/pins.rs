//! Sessions that asked to stay with this server. A pin lives no longer than the link it was made on.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::incoming::{LaneKey, RemoteLanes};
use crate::rpc::Link;

/// All pins of a process.
pub(crate) struct Pins {
    lanes: Arc<RemoteLanes>,
    /// How many pins a session has, and the link they were made on.
    held: Mutex<FxHashMap<LaneKey, (Arc<Link>, u32)>>,
    changed: Notify,
}

impl Pins {
    /// Pins that keep their sessions' lanes in `lanes`.
    pub(crate) fn new(lanes: Arc<RemoteLanes>) -> Arc<Self> {
        Arc::new(Self { lanes, held: Mutex::default(), changed: Notify::new() })
    }

    /// How many sessions are pinned here.
    pub(crate) fn len(&self) -> usize {
        self.held.lock().len()
    }

    /// Resolves when no session is pinned here.
    pub(crate) async fn none(&self) {
        loop {
            let changed = self.changed.notified();
            if self.len() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Pins a session, as long as there is a way to ask its frontend for that.
    pub(super) fn add(&self, key: LaneKey, link: &Arc<Link>) {
        let mut held = self.held.lock();
        // Whoever has kept an old link must not take the place of pins on the new one.
        if !link.is_taking() {
            return;
        }
        let pins = held.entry(key).or_insert_with(|| {
            self.lanes.hold(&key);
            (link.clone(), 0)
        });
        if !Arc::ptr_eq(&pins.0, link) {
            // The frontend has ended the pins of the link before, although its loss has not been noticed here.
            *pins = (link.clone(), 0);
        }
        pins.1 += 1;
    }

    /// Undoes one `add`, if it was made on `link` when that is given; gives the link it was made on, if there was one.
    pub(super) fn remove(&self, key: LaneKey, link: Option<&Arc<Link>>) -> Option<Arc<Link>> {
        let mut held = self.held.lock();
        let (made_on, count) = held.get_mut(&key)?;
        if link.is_some_and(|link| !Arc::ptr_eq(made_on, link)) {
            return None;
        }
        let made_on = made_on.clone();
        *count -= 1;
        if *count == 0 {
            held.remove(&key);
            self.lanes.release_all(&key);
            self.changed.notify_waiters();
        }
        Some(made_on)
    }

    /// The session has ended.
    pub(super) fn remove_all(&self, key: LaneKey) {
        if self.held.lock().remove(&key).is_some() {
            self.lanes.release_all(&key);
            self.changed.notify_waiters();
        }
    }

    /// The link was lost.
    pub(super) fn lose(&self, link: &Arc<Link>) {
        self.held.lock().retain(|key, (made_on, _)| {
            let keep = !Arc::ptr_eq(made_on, link);
            if !keep {
                self.lanes.release_all(key);
            }
            keep
        });
        self.changed.notify_waiters();
    }
}

impl std::fmt::Debug for Pins {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pins").field("len", &self.len()).finish_non_exhaustive()
    }
}
