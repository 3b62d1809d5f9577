//! What a server that holds sessions tells those that publish: which channels it has members of. Pure: the caller keeps it
//! behind one lock, and what it announces is queued on links under that lock, in the order of the changes.
//!
//! What is told, when, and which races that closes is described in the [module above](super).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::config::LONGEST_NAME;
use crate::rpc::LEAST_FRAME;
use crate::rpc::proto::{self, interest::Extent};
use crate::wire::Text;

/// An announcement holds about so many bytes of names at most.
const ANNOUNCEMENT: usize = 256 << 10;
/// What a name takes in a frame beside its bytes.
const AROUND_NAME: usize = 3;
/// What surrounds the names.
const AROUND: usize = 64;
// Every link takes an announcement: the last name may exceed it.
const _: () = assert!(ANNOUNCEMENT + AROUND_NAME + LONGEST_NAME + AROUND <= LEAST_FRAME);

/// A server that publishes, on one connection.
pub(super) trait Peer {
    /// Whether it is the same connection.
    fn is(&self, other: &Self) -> bool;

    /// Sends it an announcement. It answers each; [`Interest::answered`] is to be called then, and not from in here.
    fn announce(&self, interest: proto::Interest);
}

/// What this server wants to hear of, and who knows it.
pub(super) struct Interest<P> {
    /// Above so many channels nothing is announced.
    most: usize,
    linger: Duration,
    /// The number of the newest change.
    changes: u64,
    /// Hashed with a secret: names may be chosen by clients.
    wanted: HashMap<Text, Wanted>,
    /// The channels without members, by when they stop to be wanted.
    idle: BTreeMap<(Instant, u64), Text>,
    /// There were more channels than `most`, and have not been clearly fewer since.
    is_over: bool,
    peers: Vec<Told<P>>,
}

/// A channel that is announced, or would be.
struct Wanted {
    /// Workers that have members of it.
    workers: usize,
    /// The change that made it wanted.
    since: u64,
    /// Its key in `idle`.
    idle: Option<(Instant, u64)>,
}

/// What one peer was told.
struct Told<P> {
    peer: P,
    state: State,
    /// Announcements that it has not answered.
    unanswered: usize,
    /// Channels to be announced next, by the change that made it necessary.
    next: VecDeque<(u64, Text)>,
    /// The newest change that was announced,
    announced: u64,
    /// and the newest that the peer is known to follow.
    followed: u64,
    /// It did not acknowledge in time: nobody waits for it until it has answered everything.
    is_given_up: bool,
    /// It refused an announcement: nothing is announced to it any more.
    is_refusing: bool,
}

/// How a peer takes what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It sends everything, and nothing is announced.
    Everything,
    /// It sends everything until it has been told all.
    Beginning,
    /// It sends what was announced.
    Complete,
}

impl<P: Peer> Interest<P> {
    pub(super) fn new(most: usize, linger: Duration) -> Self {
        Self {
            most,
            linger,
            changes: 0,
            wanted: HashMap::new(),
            idle: BTreeMap::new(),
            is_over: false,
            peers: Vec::new(),
        }
    }

    /// One more worker has members of the channel. Gives the change that [`Interest::followed`] has to reach.
    pub(super) fn add(&mut self, channel: &Text) -> u64 {
        if let Some(wanted) = self.wanted.get_mut(channel) {
            wanted.workers += 1;
            if let Some(key) = wanted.idle.take() {
                self.idle.remove(&key);
            }
            return wanted.since;
        }
        self.changes += 1;
        let since = self.changes;
        self.wanted.insert(channel.clone(), Wanted { workers: 1, since, idle: None });
        if !self.is_over && self.wanted.len() > self.most {
            self.is_over = true;
            for (_, channel) in std::mem::take(&mut self.idle) {
                self.wanted.remove(&channel);
            }
            self.peers.iter_mut().for_each(Told::void);
        }
        self.changed(&[(since, channel.clone())]);
        since
    }

    /// The change that made the channel wanted; 0 when it is not.
    pub(super) fn since(&self, channel: &str) -> u64 {
        self.wanted.get(channel).map_or(0, |wanted| wanted.since)
    }

    /// One worker less has members of the channel.
    pub(super) fn remove(&mut self, channel: &str, now: Instant) {
        let Some(wanted) = self.wanted.get_mut(channel) else { return };
        wanted.workers = wanted.workers.saturating_sub(1);
        if wanted.workers > 0 {
            return;
        }
        if self.is_over {
            self.wanted.remove(channel);
            return self.relax();
        }
        self.changes += 1;
        let key = (now + self.linger, self.changes);
        wanted.idle = Some(key);
        self.idle.insert(key, Text::copied(channel));
    }

    /// When the next channel stops to be wanted.
    pub(super) fn next_withdrawal(&self) -> Option<Instant> {
        self.idle.first_key_value().map(|((at, _), _)| *at)
    }

    /// Withdraws the interest in channels that have had no members for long enough.
    pub(super) fn withdraw(&mut self, now: Instant) {
        let mut changes = Vec::new();
        while let Some(entry) = self.idle.first_entry().filter(|entry| entry.key().0 <= now) {
            let channel = entry.remove();
            self.wanted.remove(&channel);
            self.changes += 1;
            changes.push((self.changes, channel));
        }
        self.changed(&changes);
        self.relax();
    }

    /// A connection begins: the peer sends everything until it is told otherwise.
    pub(super) fn up(&mut self, peer: P) {
        let mut told = Told {
            peer,
            state: State::Everything,
            unanswered: 0,
            next: VecDeque::new(),
            announced: 0,
            followed: 0,
            is_given_up: false,
            is_refusing: false,
        };
        if !self.is_over {
            told.begin(&self.wanted);
        }
        self.peers.push(told);
    }

    /// A connection is gone, and with it what was told on it.
    pub(super) fn down(&mut self, peer: &P) {
        self.peers.retain(|told| !told.peer.is(peer));
    }

    /// The peer answered an announcement: it follows it.
    pub(super) fn answered(&mut self, peer: &P) {
        let Some(told) = self.peers.iter_mut().find(|told| told.peer.is(peer)) else { return };
        told.unanswered = told.unanswered.saturating_sub(1);
        if told.unanswered > 0 {
            return;
        }
        told.followed = told.announced;
        told.is_given_up = false;
        if told.state == State::Everything && !self.is_over {
            told.begin(&self.wanted);
        } else {
            told.announce(&self.wanted);
        }
    }

    /// The peer refused an announcement, so it does not follow it: it is told to send everything, from now on.
    pub(super) fn refused(&mut self, peer: &P) {
        let Some(told) = self.peers.iter_mut().find(|told| told.peer.is(peer)) else { return };
        told.unanswered = told.unanswered.saturating_sub(1);
        told.is_refusing = true;
        told.void();
    }

    /// The newest change that every peer follows which is not known to send everything, nor given up.
    pub(super) fn followed(&self) -> u64 {
        let counted = self.peers.iter().filter(|told| told.may_hold_back());
        counted.map(|told| told.followed).min().unwrap_or(u64::MAX)
    }

    /// Peers that do not follow the change `since` by now are told to send everything; when they have answered, it is all
    /// told anew. Gives how many they are.
    pub(super) fn give_up(&mut self, since: u64) -> usize {
        let slow = self.peers.iter_mut().filter(|told| told.may_hold_back() && told.followed < since);
        let given_up = slow.map(|told| {
            told.is_given_up = true;
            told.void();
        });
        given_up.count()
    }

    /// How many channels are wanted.
    pub(super) fn len(&self) -> usize {
        self.wanted.len()
    }

    /// The peers, how they take what they were told, and how many channels are on their way to them.
    pub(super) fn peers(&self) -> impl Iterator<Item = (&P, State, usize)> {
        self.peers.iter().map(|told| (&told.peer, told.state, told.next.len() + told.unanswered))
    }

    /// These channels are wanted now, or not any more: those who were told must hear of it.
    fn changed(&mut self, changes: &[(u64, Text)]) {
        for told in self.peers.iter_mut().filter(|told| told.state != State::Everything) {
            told.next.extend(changes.iter().cloned());
            // So much news means that the peer does not answer, or is told too often: everything is less.
            if told.next.len() > self.most {
                told.void();
            } else {
                told.announce(&self.wanted);
            }
        }
    }

    /// Announces again when there are clearly fewer channels than too many.
    fn relax(&mut self) {
        if !self.is_over || self.wanted.len() > self.most - self.most / 10 {
            return;
        }
        self.is_over = false;
        for told in self.peers.iter_mut().filter(|told| told.unanswered == 0) {
            told.begin(&self.wanted);
        }
    }
}

impl<P: Peer> Told<P> {
    /// Whether it may not send something because it was not announced: it was told that all is, and is not known to have
    /// heard otherwise.
    fn may_hold_back(&self) -> bool {
        let is_told = match self.state {
            State::Everything => self.unanswered > 0,
            State::Beginning => false,
            State::Complete => true,
        };
        is_told && !self.is_given_up
    }

    /// Begins to tell what is wanted.
    fn begin(&mut self, wanted: &HashMap<Text, Wanted>) {
        if self.is_refusing {
            return;
        }
        let mut all: Vec<_> = wanted.iter().map(|(channel, wanted)| (wanted.since, channel.clone())).collect();
        all.sort_unstable_by_key(|(since, _)| *since);
        self.state = State::Beginning;
        self.next = all.into();
        self.announced = 0;
        self.followed = 0;
        self.announce(wanted);
    }

    /// Announces what is to be announced next, unless the last announcement is unanswered.
    fn announce(&mut self, wanted: &HashMap<Text, Wanted>) {
        let is_told = self.state == State::Everything || (self.state == State::Complete && self.next.is_empty());
        if self.unanswered > 0 || is_told {
            return;
        }
        let mut interest = proto::Interest::default();
        let mut bytes = 0;
        while bytes < ANNOUNCEMENT
            && let Some((change, channel)) = self.next.pop_front()
        {
            bytes += AROUND_NAME + channel.len();
            self.announced = change;
            // What holds now, which may be the work of a later change.
            let list = if wanted.contains_key(&channel) { &mut interest.added } else { &mut interest.removed };
            list.push(channel.into_bytes());
        }
        if self.next.is_empty() && self.state == State::Beginning {
            self.state = State::Complete;
            interest.set_extent(Extent::Complete);
        }
        self.unanswered += 1;
        self.peer.announce(interest);
    }

    /// Tells the peer to send everything.
    fn void(&mut self) {
        if self.state == State::Everything {
            return;
        }
        self.state = State::Everything;
        self.next = VecDeque::new();
        self.unanswered += 1;
        let mut interest = proto::Interest::default();
        interest.set_extent(Extent::Everything);
        self.peer.announce(interest);
    }
}
