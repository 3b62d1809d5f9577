//! Who is in which channel, of the sessions of one worker.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::session::{Entry, Farewell, SessionId, Subscription};
use crate::wire::Text;

/// The members of one channel.
pub(super) type Members = FxHashMap<SessionId, Arc<Entry>>;

/// The memberships of one worker's sessions. An entry lives as long as what it is about: a channel while it has members,
/// a session from its first subscription to its end.
#[derive(Default)]
pub(super) struct Shard {
    /// Hashed with a secret: names may be chosen by clients.
    channels: HashMap<Text, Members>,
    sessions: FxHashMap<SessionId, Vec<Membership>>,
}

/// A session's place in one channel.
struct Membership {
    channel: Text,
    /// What it subscribed with; none when that is nothing, as with most.
    subscription: Option<Box<Subscription>>,
}

/// A membership that has ended.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) channel: Text,
    /// The channel has no member here any more.
    pub(super) is_last_here: bool,
    pub(super) farewell: Option<Farewell>,
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
    /// Makes the session a member, unless it is in `most` channels. One that is a member now has this subscription.
    pub(super) fn join(
        &mut self,
        entry: &Arc<Entry>,
        channel: &Text,
        subscription: Subscription,
        most: usize,
    ) -> Result<Joined, TooMany> {
        let session = entry.record.id();
        let subscription = (subscription.size() > 0).then(|| Box::new(subscription));
        let is_first_of_session = !self.sessions.contains_key(&session);
        let joined = self.sessions.entry(session).or_default();
        if let Some(membership) = joined.iter_mut().find(|membership| membership.channel == *channel) {
            membership.subscription = subscription;
            return Ok(Joined { is_first_of_session: false, is_first_here: false });
        }
        if joined.len() >= most {
            return Err(TooMany);
        }
        joined.push(Membership { channel: channel.clone(), subscription });
        let members = self.channels.entry(channel.clone()).or_default();
        let is_first_here = members.is_empty();
        members.insert(session, entry.clone());
        Ok(Joined { is_first_of_session, is_first_here })
    }

    /// Ends a membership, if there is one.
    pub(super) fn leave(&mut self, session: SessionId, channel: &str) -> Option<Left> {
        let joined = self.sessions.get_mut(&session)?;
        let place = joined.iter().position(|membership| membership.channel == *channel)?;
        let membership = joined.swap_remove(place);
        Some(self.remove(session, membership))
    }

    /// Ends all memberships of a session.
    pub(super) fn end(&mut self, session: SessionId) -> Vec<Left> {
        let joined = self.sessions.remove(&session).unwrap_or_default();
        joined.into_iter().map(|membership| self.remove(session, membership)).collect()
    }

    fn remove(&mut self, session: SessionId, membership: Membership) -> Left {
        let Membership { channel, subscription } = membership;
        let mut is_last_here = false;
        if let Place::Occupied(mut place) = self.channels.entry(channel.clone()) {
            place.get_mut().remove(&session);
            is_last_here = place.get().is_empty();
            if is_last_here {
                place.remove();
            }
        }
        Left { channel, is_last_here, farewell: subscription.and_then(|subscription| subscription.farewell) }
    }

    /// What a member subscribed with for others to know.
    pub(super) fn info(&self, session: SessionId, channel: &str) -> Bytes {
        let mut joined = self.sessions.get(&session).into_iter().flatten();
        let membership = joined.find(|membership| membership.channel == *channel);
        let subscription = membership.and_then(|membership| membership.subscription.as_ref());
        subscription.map(|subscription| subscription.info.clone()).unwrap_or_default()
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
