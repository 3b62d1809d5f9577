//! What channels did, and how many there are.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

use super::channels::Channels;
use super::interest::State;
use crate::topology::ServerId;

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Messages that this server published.
    pub(super) published: AtomicU64,
    /// Frontends that a message was not queued for.
    pub(super) not_queued: AtomicU64,
    /// Published messages that came from other servers.
    pub(super) received: AtomicU64,
    /// Pushes to members, those counted that a closing client did not take.
    pub(super) pushed: AtomicU64,
    /// Servers that were told to send everything because they did not acknowledge in time.
    pub(super) given_up: AtomicU64,
}

/// Channels, for people.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChannelsStatus {
    /// Channels that have members here, or had some a moment ago.
    pub(crate) channels: usize,
    /// Memberships of sessions of this server.
    pub(crate) memberships: usize,
    /// Published messages that wait for a worker.
    pub(crate) waiting: usize,
    /// What servers that publish to this one know.
    pub(crate) told: Vec<Told>,
    /// What this server knows of those that it publishes to.
    pub(crate) known: Vec<Known>,
}

/// What a peer was told, on one link.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    server: ServerId,
    worker: usize,
    /// `everything`, `beginning` or `complete`: how the peer takes what it was told.
    state: &'static str,
    /// Changes that it was not told or has not acknowledged.
    pending: usize,
}

/// What a peer told, on one link.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Known {
    server: ServerId,
    worker: usize,
    /// The channels that it has members of; none while it is sent everything.
    channels: Option<usize>,
}

impl Channels {
    /// Channels, for people.
    pub(crate) fn status(&self) -> ChannelsStatus {
        let told = {
            let interest = self.interest.lock();
            let told = interest.peers().map(|(publisher, state, pending)| Told {
                server: publisher.link.server().clone(),
                worker: publisher.link.worker(),
                state: match state {
                    State::Everything => "everything",
                    State::Beginning => "beginning",
                    State::Complete => "complete",
                },
                pending,
            });
            told.collect()
        };
        let known = self.workers.iter().enumerate().flat_map(|(worker, part)| {
            let known = part.outlet.get().map(super::outlet::Outlet::known).unwrap_or_default();
            known.into_iter().map(move |(server, channels)| Known { server, worker, channels })
        });
        ChannelsStatus {
            channels: self.interest.lock().len(),
            memberships: self.workers.iter().map(|worker| worker.shard.lock().len()).sum(),
            waiting: self.workers.iter().map(|worker| worker.queue.len()).sum(),
            told,
            known: known.collect(),
        }
    }

    /// What was counted since the start, by name.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 5] {
        let read = |count: &AtomicU64| count.load(Relaxed);
        [
            ("channel_messages_published", read(&self.counts.published)),
            ("channel_messages_not_queued", read(&self.counts.not_queued)),
            ("channel_messages_received", read(&self.counts.received)),
            ("channel_pushes", read(&self.counts.pushed)),
            ("channel_interest_given_up", read(&self.counts.given_up)),
        ]
    }
}
