//! The sessions of a frontend process.

use std::fmt;
use std::future::ready;
use std::sync::{Arc, OnceLock};

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use super::entity::{BoxFuture, Entity};
use super::id::SessionId;
use super::record::Record;
use super::subscriptions::{Subscription, Subscriptions};
use crate::wire::{Error, Text, codes};

/// A session that this frontend holds, and its connection.
pub struct Entry {
    /// The session.
    pub record: Arc<Record>,
    /// Its other end.
    pub entity: Arc<dyn Entity>,
}

/// All sessions of a frontend process, by id and by user.
#[derive(Default)]
pub struct Pool {
    by_id: DashMap<SessionId, Arc<Entry>, FxBuildHasher>,
    /// Hashed with a secret: uids may be chosen by clients.
    by_uid: DashMap<Text, Arc<Entry>>,
    subscriptions: OnceLock<Arc<dyn Subscriptions>>,
}

impl Pool {
    /// A pool without sessions.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says who keeps the channels of these sessions; the first call decides.
    pub fn attach(&self, subscriptions: Arc<dyn Subscriptions>) {
        self.subscriptions.get_or_init(|| subscriptions);
    }

    /// Makes a session a member of a channel.
    ///
    /// # Errors
    ///
    /// PIT-000 `session not found`, PIT-400 for what is no name of a channel or when the session is in too many.
    pub fn subscribe(
        &self,
        session: SessionId,
        channel: Text,
        subscription: Subscription,
    ) -> BoxFuture<'static, Result<(), Error>> {
        match (self.get(session), self.subscriptions.get()) {
            (Some(entry), Some(subscriptions)) => subscriptions.subscribe(&entry, channel, subscription),
            (None, _) => Box::pin(ready(Err(Error::new(codes::UNKNOWN, "session not found")))),
            (_, None) => Box::pin(ready(Err(Error::new(codes::INTERNAL, "this server keeps no channels")))),
        }
    }

    /// Ends a session's membership of a channel.
    pub fn unsubscribe(&self, session: SessionId, channel: &str) {
        if let Some(subscriptions) = self.subscriptions.get() {
            subscriptions.unsubscribe(session, channel);
        }
    }

    /// Adds a session.
    pub fn insert(&self, entry: Arc<Entry>) {
        self.by_id.insert(entry.record.id(), entry);
    }

    /// The session with that id.
    pub fn get(&self, id: SessionId) -> Option<Arc<Entry>> {
        self.by_id.get(&id).map(|entry| Arc::clone(&entry))
    }

    /// The session that is bound to that user.
    pub fn by_uid(&self, uid: &str) -> Option<Arc<Entry>> {
        self.by_uid.get(uid).map(|entry| Arc::clone(&entry))
    }

    /// Makes `entry` the session of the user its record is bound to, and returns the one it takes that place from, for
    /// the caller to kick. Does nothing when the record is not bound to `uid` or the session is not in the pool any more.
    pub fn bind_unique(&self, uid: &str, entry: &Arc<Entry>) -> Option<Arc<Entry>> {
        // The record's own text: the map needs no second copy, and keeps no buffer alive.
        let uid = entry.record.uid().filter(|bound| **bound == *uid)?;
        if !self.by_id.contains_key(&entry.record.id()) {
            return None;
        }
        self.place(&uid, entry)
    }

    /// Gives a user's place to a session that was in the pool just now.
    pub(super) fn place(&self, uid: &Text, entry: &Arc<Entry>) -> Option<Arc<Entry>> {
        let previous = self.by_uid.insert(uid.clone(), Arc::clone(entry));
        // It may have been removed meanwhile, and then the removal did not find it under its user yet.
        if !self.by_id.contains_key(&entry.record.id()) {
            self.forget_uid(uid, entry);
        }
        previous.filter(|previous| !Arc::ptr_eq(previous, entry))
    }

    /// Takes a session out. Its user's place is freed only if the session still has it.
    pub fn remove(&self, id: SessionId) -> Option<Arc<Entry>> {
        let (_, entry) = self.by_id.remove(&id)?;
        if let Some(uid) = entry.record.uid() {
            self.forget_uid(&uid, &entry);
        }
        Some(entry)
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many users have a session.
    pub fn users(&self) -> usize {
        self.by_uid.len()
    }

    /// All sessions there are now, to close or to count them.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.by_id.iter().map(|entry| Arc::clone(&entry)).collect()
    }

    fn forget_uid(&self, uid: &str, entry: &Arc<Entry>) {
        self.by_uid.remove_if(uid, |_, bound| Arc::ptr_eq(bound, entry));
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Entry").field("record", &self.record).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("sessions", &self.len()).field("users", &self.users()).finish()
    }
}
