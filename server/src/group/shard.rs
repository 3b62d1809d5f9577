//! Who is in which channel, of the sessions of one worker.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::session::{Entry, SessionId};
use crate::wire::Text;

/// The members of one channel.
pub(super) type Members = FxHashMap<SessionId, Arc<Entry>>;

/// The memberships of one worker's sessions. An entry lives as long as what it is about: a channel while it has members,
/// a session from its first subscription to its end.
#[derive(Default)]
pub(super) struct Shard {
    /// Hashed with a secret: names may be chosen by clients.
    channels: HashMap<Text, Members>,
    sessions: FxHashMap<SessionId, Vec<Text>>,
}

/// What a subscription changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    /// The session had never subscribed to anything.
    pub(super) is_first_of_session: bool,
    /// The channel had no member here.
    pub(super) is_first_here: bool,
}

/// The session is in as many channels as it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Shard {
    /// Makes the session a member, unless it is in `most` channels.
    pub(super) fn join(&mut self, entry: &Arc<Entry>, channel: &Text, most: usize) -> Result<Joined, TooMany> {
        let session = entry.record.id();
        let is_first_of_session = !self.sessions.contains_key(&session);
        let joined = self.sessions.entry(session).or_default();
        if joined.contains(channel) {
            return Ok(Joined { is_first_of_session: false, is_first_here: false });
        }
        if joined.len() >= most {
            return Err(TooMany);
        }
        joined.push(channel.clone());
        let members = self.channels.entry(channel.clone()).or_default();
        let is_first_here = members.is_empty();
        members.insert(session, entry.clone());
        Ok(Joined { is_first_of_session, is_first_here })
    }

    /// Ends a membership. True when the channel has no member here any more, and had one.
    pub(super) fn leave(&mut self, session: SessionId, channel: &str) -> bool {
        let Some(joined) = self.sessions.get_mut(&session) else { return false };
        let Some(place) = joined.iter().position(|name| name == channel) else { return false };
        let channel = joined.swap_remove(place);
        self.remove(session, &channel)
    }

    /// Ends all memberships of a session; gives the channels that have no member here any more.
    pub(super) fn end(&mut self, session: SessionId) -> Vec<Text> {
        let mut joined = self.sessions.remove(&session).unwrap_or_default();
        joined.retain(|channel| self.remove(session, channel));
        joined
    }

    fn remove(&mut self, session: SessionId, channel: &Text) -> bool {
        let Place::Occupied(mut place) = self.channels.entry(channel.clone()) else { return false };
        place.get_mut().remove(&session);
        let is_empty = place.get().is_empty();
        if is_empty {
            place.remove();
        }
        is_empty
    }

    /// Whether the session has subscribed to anything and not ended.
    pub(super) fn knows(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Who is in the channel.
    pub(super) fn members(&self, channel: &str) -> Option<&Members> {
        self.channels.get(channel)
    }

    /// How many memberships there are.
    pub(super) fn len(&self) -> usize {
        self.channels.values().map(FxHashMap::len).sum()
    }
}
