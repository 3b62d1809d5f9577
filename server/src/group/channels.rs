//! The channels of one process: the members that it holds, what it tells others of them, and what it is sent for them.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use super::callers::Callers;
use super::config::{ACKNOWLEDGEMENT, Config, LARGEST_SUBSCRIPTION, LONGEST_NAME};
use super::counts::Counts;
use super::delivery::{Delivery, Queue};
use super::interest::{Interest, Peer};
use super::outlet::Outlet;
use super::publish::Message;
use super::shard::{Left, Shard};
use super::workers::WorkerSet;
use crate::lanes::Spawner;
use crate::router::Router;
use crate::rpc::{Caller, Identity, Link, Links, Outcome, Question, proto};
use crate::session::{Entry, Farewell, PushError, SessionId, Subscription};
use crate::topology::Topology;
use crate::wire::{Error, SharedPush, Text, codes};

/// What [`Channels`] are made of.
pub(crate) struct ChannelsParts {
    /// Who this server is.
    pub(crate) identity: Arc<Identity>,
    /// Where the frontends are.
    pub(crate) topology: Topology,
    /// Where tasks run, by worker.
    pub(crate) spawners: Arc<[Spawner]>,
    /// How much is kept.
    pub(crate) config: Config,
    /// The largest frame that a link takes.
    pub(crate) max_frame: usize,
}

/// The channels of one process.
pub(crate) struct Channels {
    pub(super) parts: ChannelsParts,
    pub(super) workers: Box<[Worker]>,
    /// The workers that have members of a channel. Read for each message, without the locks of those workers.
    pub(super) places: DashMap<Text, WorkerSet>,
    pub(super) interest: Mutex<Interest<Publisher>>,
    pub(super) callers: Callers,
    /// What [`Interest::followed`] says.
    followed: watch::Sender<u64>,
    /// There is a channel whose interest is to be withdrawn.
    idle: Notify,
    pub(super) counts: Counts,
}

/// One worker's part.
pub(super) struct Worker {
    /// Members among its sessions. Locked before `interest`.
    pub(super) shard: Mutex<Shard>,
    pub(super) queue: Queue,
    /// The way to other servers.
    pub(super) outlet: OnceLock<Outlet>,
}

/// A server that publishes over an accepted link.
#[derive(Clone)]
pub(super) struct Publisher {
    pub(super) link: Arc<Link>,
    channels: Arc<Channels>,
}

impl Peer for Publisher {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.link, &other.link)
    }

    fn announce(&self, interest: proto::Interest) {
        self.link.ask(Question::Interest(interest), Arc::new(self.clone()), 0);
    }
}

impl Caller for Publisher {
    fn complete(self: Arc<Self>, _: u64, outcome: Outcome) {
        // When it is lost, so is the link.
        let Outcome::Answered(answer) = outcome else { return };
        let mut interest = self.channels.interest.lock();
        if let Some(proto::response::Outcome::Error(error)) = answer {
            let (server, error) = (self.link.server(), error.msg);
            tracing::error!(%server, %error, "a server refused an interest: it is to send everything");
            interest.refused(&self);
        } else {
            interest.answered(&self);
        }
        self.channels.tell(&interest);
    }
}

impl Channels {
    /// Channels without members.
    pub(crate) fn new(parts: ChannelsParts) -> Arc<Self> {
        let config = parts.config;
        let worker = |_| Worker { shard: Mutex::default(), queue: Queue::new(config.waiting), outlet: OnceLock::new() };
        Arc::new(Self {
            workers: (0..parts.spawners.len()).map(worker).collect(),
            places: DashMap::new(),
            interest: Mutex::new(Interest::new(config.announced, config.withdraw_after)),
            callers: Callers::default(),
            followed: watch::Sender::new(u64::MAX),
            idle: Notify::new(),
            counts: Counts::default(),
            parts,
        })
    }

    /// Says over which links, opened by `router`, `worker` reaches other servers; the first call decides.
    pub(crate) fn attach(&self, worker: usize, links: Arc<Links>, router: Arc<Router>) {
        if let Some(worker) = self.workers.get(worker) {
            worker.outlet.get_or_init(|| Outlet::new(links, router));
        }
    }

    /// Withdraws the interest in channels that have had no members for long. Ends never.
    pub(crate) async fn withdraw(self: Arc<Self>) {
        loop {
            let next = self.interest.lock().next_withdrawal();
            match next {
                Some(at) => sleep_until(at).await,
                None => self.idle.notified().await,
            }
            let mut interest = self.interest.lock();
            interest.withdraw(Instant::now());
            self.tell(&interest);
        }
    }

    /// Makes a session a member. Gives what [`Channels::settled`] has to wait for.
    pub(super) fn join(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        channel: &Text,
        subscription: Subscription,
    ) -> Result<u64, Error> {
        check_name(channel)?;
        check_subscription(&subscription)?;
        let says_farewell = subscription.farewell.is_some();
        let session = entry.record.id();
        let worker = self.worker_of(session).ok_or_else(gone)?;
        let (joined, since) = {
            let mut shard = worker.shard.lock();
            let most = self.parts.config.per_session;
            let joined = shard.join(entry, channel, subscription, most).map_err(|_| too_many())?;
            let mut interest = self.interest.lock();
            let since = if joined.is_first_here {
                self.places.entry(channel.clone()).or_default().insert(usize::from(session.worker()));
                interest.add(channel)
            } else {
                interest.since(channel)
            };
            self.tell(&interest);
            (joined, since)
        };
        if joined.is_first_of_session {
            let channels = self.clone();
            entry.record.on_close(Box::new(move |_| channels.end(session)));
        }
        if says_farewell {
            // This server may be closing when it is said.
            self.open_ways(usize::from(session.worker()), channel);
        }
        // It may have been closed before it was listed: then the callback ran at once.
        if worker.shard.lock().knows(session) { Ok(since) } else { Err(gone()) }
    }

    /// Ends a membership, and says farewell.
    pub(super) fn leave(self: &Arc<Self>, session: SessionId, channel: &str) {
        self.end_memberships(session, |shard| shard.leave(session, channel).into_iter().collect());
    }

    /// Ends all memberships of a session that has ended.
    fn end(self: &Arc<Self>, session: SessionId) {
        self.end_memberships(session, |shard| shard.end(session));
    }

    fn end_memberships(self: &Arc<Self>, session: SessionId, end: impl FnOnce(&mut Shard) -> Vec<Left>) {
        let Some(worker) = self.worker_of(session) else { return };
        let left = {
            let mut shard = worker.shard.lock();
            let left = end(&mut shard);
            self.deserted(session, &left);
            left
        };
        for Left { channel, farewell, .. } in left {
            let Some(Farewell { route, body }) = farewell else { continue };
            // Of the one whose membership ended, so only once; what is not queued is counted.
            let message = Message { channel: &channel, route: &route, body, except: None };
            if let Err(error) = self.publish(usize::from(session.worker()), message) {
                tracing::warn!(%error, %session, "a farewell is not published");
            }
        }
    }

    /// The session's worker, whose shard is locked, may have no members of these channels any more.
    fn deserted(&self, session: SessionId, left: &[Left]) {
        if left.iter().all(|left| !left.is_last_here) {
            return;
        }
        let mut interest = self.interest.lock();
        let was_idle = interest.next_withdrawal().is_some();
        for Left { channel, .. } in left.iter().filter(|left| left.is_last_here) {
            if let Place::Occupied(mut place) = self.places.entry(channel.clone())
                && place.get_mut().remove(usize::from(session.worker()))
            {
                place.remove();
            }
            interest.remove(channel, Instant::now());
        }
        self.tell(&interest);
        if !was_idle && interest.next_withdrawal().is_some() {
            self.idle.notify_one();
        }
    }

    /// Waits until every server that publishes follows the change `since`, or sends everything.
    pub(super) async fn settled(self: Arc<Self>, since: u64) {
        let mut followed = self.followed.subscribe();
        let waiting = followed.wait_for(|followed| *followed >= since);
        if timeout(ACKNOWLEDGEMENT, waiting).await.is_ok() {
            return;
        }
        let mut interest = self.interest.lock();
        let slow = interest.give_up(since);
        self.tell(&interest);
        self.counts.given_up.fetch_add(slow as u64, Relaxed);
        tracing::warn!(servers = slow, "servers did not acknowledge an interest in time: they are to send everything");
    }

    /// Whether that needs no waiting.
    pub(super) fn is_settled(&self, since: u64) -> bool {
        *self.followed.borrow() >= since
    }

    /// Tells those who wait how far the peers follow.
    pub(super) fn tell(&self, interest: &Interest<Publisher>) {
        let now = interest.followed();
        self.followed.send_if_modified(|followed| std::mem::replace(followed, now) != now);
    }

    /// A server that publishes over `link`.
    pub(super) fn publisher(self: &Arc<Self>, link: &Arc<Link>) -> Publisher {
        Publisher { link: link.clone(), channels: self.clone() }
    }

    /// Hands a message to the members that this process holds, all but one; false when there are none.
    pub(super) fn deliver(self: &Arc<Self>, channel: &str, push: SharedPush, except: Option<SessionId>) -> bool {
        let Some(places) = self.places.get(channel).map(|places| *places) else { return false };
        let message = Arc::new(Delivery { channel: Text::copied(channel), push, except });
        for (index, spawner) in self.parts.spawners.iter().enumerate().filter(|(index, _)| places.contains(*index)) {
            let Some(worker) = self.workers.get(index) else { continue };
            if worker.queue.put(message.clone(), |message| self.push(worker, message)) {
                let channels = self.clone();
                spawner.spawn(async move {
                    while channels.turn(index) {
                        // The connections write what they were given.
                        yield_now().await;
                    }
                });
            }
        }
        true
    }

    fn turn(&self, worker: usize) -> bool {
        self.workers.get(worker).is_some_and(|worker| worker.queue.turn(|message| self.push(worker, message)))
    }

    /// Pushes a message to the members among a worker's sessions.
    fn push(&self, worker: &Worker, message: &Delivery) {
        let shard = worker.shard.lock();
        let Some(members) = shard.members(&message.channel) else { return };
        let mut dropped = 0;
        for (session, entry) in members.iter().filter(|(session, _)| message.except != Some(**session)) {
            match entry.entity.try_push_shared(*session, &message.push) {
                // A full or closed client ends by its own rule.
                Ok(()) | Err(PushError::Full | PushError::Closed) => {}
                Err(_) => dropped += 1,
            }
        }
        self.counts.pushed.fetch_add(members.len() as u64, Relaxed);
        if dropped > 0 {
            tracing::warn!(route = %message.push.route(), members = dropped, "a published message cannot be written");
        }
    }

    pub(super) fn worker_of(&self, session: SessionId) -> Option<&Worker> {
        self.workers.get(usize::from(session.worker()))
    }
}

/// Refuses what cannot be the name of a channel.
pub(super) fn check_name(channel: &str) -> Result<(), Error> {
    if (1..=LONGEST_NAME).contains(&channel.len()) {
        return Ok(());
    }
    let text = format!("the name of a channel has 1 to {LONGEST_NAME} bytes, not {}", channel.len());
    Err(Error::new(codes::BAD_REQUEST, text))
}

/// Refuses a subscription that is not worth keeping.
fn check_subscription(subscription: &Subscription) -> Result<(), Error> {
    let route = subscription.farewell.as_ref().map_or(0, |farewell| farewell.route.len());
    if subscription.size() <= LARGEST_SUBSCRIPTION && route <= LONGEST_NAME {
        return Ok(());
    }
    let text = format!(
        "a subscription has at most {LARGEST_SUBSCRIPTION} bytes, not {}, and the route of its farewell {LONGEST_NAME}, not \
         {route}",
        subscription.size()
    );
    Err(Error::new(codes::BAD_REQUEST, text))
}

fn too_many() -> Error {
    Error::new(codes::BAD_REQUEST, "the session is in too many channels")
}

pub(super) fn gone() -> Error {
    Error::new(codes::UNKNOWN, "session not found")
}

/// How long a wait for an answer may take that somebody with `deadline` begins now.
pub(super) fn until(deadline: Option<Instant>, most: Duration) -> Instant {
    let latest = Instant::now() + most;
    deadline.map_or(latest, |deadline| deadline.min(latest))
}
