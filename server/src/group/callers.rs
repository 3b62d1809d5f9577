//! The servers that opened links to this one: a way to those that the topology does not list yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::rpc::{Caller, Link, Outcome, Question, Standing, proto};
use crate::topology::{ServerId, Snapshot};

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

/// The peers that were published to on links of their own, by one worker. Once the topology lists such a peer, that goes
/// on until the peer has answered a question on that link: only then nothing can overtake what went there.
#[derive(Clone, Default)]
pub(super) struct Crossings(Arc<Mutex<FxHashMap<ServerId, Crossing>>>);

struct Crossing {
    link: Arc<Link>,
    /// The question was asked.
    is_ending: bool,
}

impl Crossings {
    /// The link for a peer that the topology does not list: the one of before while it lives, or else `newest`.
    pub(super) fn begin(&self, newest: &Arc<Link>) -> Arc<Link> {
        let mut crossings = self.0.lock();
        let new = || Crossing { link: newest.clone(), is_ending: false };
        let crossing = crossings.entry(newest.server().clone()).or_insert_with(new);
        if crossing.link.standing() == Standing::Down {
            *crossing = new();
        }
        crossing.link.clone()
    }

    /// The link for a peer that is listed, if it is not to be reached by a link of this server yet.
    pub(super) fn end(&self, server: &str) -> Option<Arc<Link>> {
        let mut crossings = self.0.lock();
        let crossing = crossings.get_mut(server)?;
        if crossing.link.standing() == Standing::Down {
            crossings.remove(server);
            return None;
        }
        if !std::mem::replace(&mut crossing.is_ending, true) {
            // Nobody is in a channel without a name: it is the answer that counts.
            let crossed = Arc::new(Crossed { crossings: self.clone(), link: crossing.link.clone() });
            crossing.link.ask(Question::Members(proto::Members::default()), crossed, 0);
        }
        Some(crossing.link.clone())
    }

    /// A link is gone.
    pub(super) fn lose(&self, link: &Arc<Link>) {
        self.0.lock().retain(|_, crossing| !Arc::ptr_eq(&crossing.link, link));
    }
}

/// Waits for the answer behind all that was published on a peer's own link.
struct Crossed {
    crossings: Crossings,
    link: Arc<Link>,
}

impl Caller for Crossed {
    fn complete(self: Arc<Self>, _: u64, _: Outcome) {
        self.crossings.lose(&self.link);
    }
}
