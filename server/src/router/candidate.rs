//! What a choice is made from: the message, and what is known about each server and how good that makes it.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::hash::session_value;
use crate::topology::Server;

/// What a message is about, as far as a choice may depend on it.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Question<'a> {
    /// The type that a server is wanted of.
    pub server_type: &'a str,
    /// The route within that type: `service.method`.
    pub route: &'a str,
    /// The session's id; None for a call that a server makes by itself.
    pub session: Option<i64>,
    /// The user that the session is bound to.
    pub uid: Option<&'a str>,
    /// The session's values, a JSON object; empty without a session.
    pub data: &'a [u8],
    /// The argument, as the client or the caller encoded it.
    pub body: &'a [u8],
}

impl Question<'_> {
    /// A value of the session. None without a session, and for a value that is not there or of another type.
    pub fn value<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(session_value(self.data, key)?.get()).ok()
    }
}

/// The link to a server, as the caller has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// There is none yet, or its first attempt to connect is under way.
    Opening,
    /// It is up.
    Live,
    /// It was lost, or could not be connected.
    Down,
    /// It is up, and the server said that it leaves.
    Draining,
}

/// How much a server is worth; a choice is made among the servers of the best tier that is there. Best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The snapshot says ready.
    Ready,
    /// Not ready, but the snapshot says serving.
    Serving,
    /// Neither, but it is listed and its link is live.
    Linked,
    /// Ready or serving in the snapshot, but its link is down. The link knows better.
    Unreachable,
}

/// A server that may be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The server.
    pub server: &'a Arc<Server>,
    /// Its tier.
    pub tier: Tier,
    /// Its link is live. Within a tier, servers that would have to be connected first come last.
    pub is_linked: bool,
    /// It is in the caller's zone.
    pub is_same_zone: bool,
    /// Calls that the caller sent to it and that are not answered.
    pub pending: usize,
}

impl<'a> Candidate<'a> {
    /// What a caller in `zone` knows of a server. None when the server must not be chosen: it said Draining, or the
    /// snapshot says neither ready nor serving and there is no live link.
    pub fn new(server: &'a Arc<Server>, link: LinkState, pending: usize, zone: Option<&str>) -> Option<Self> {
        let tier = tier(server, link)?;
        let is_same_zone = zone.is_some() && zone == server.zone.as_deref();
        Some(Self { server, tier, is_linked: link == LinkState::Live, is_same_zone, pending })
    }
}

fn tier(server: &Server, link: LinkState) -> Option<Tier> {
    match link {
        LinkState::Down => (server.ready || server.serving).then_some(Tier::Unreachable),
        LinkState::Opening | LinkState::Live if server.ready => Some(Tier::Ready),
        LinkState::Opening | LinkState::Live if server.serving => Some(Tier::Serving),
        LinkState::Live => Some(Tier::Linked),
        LinkState::Opening | LinkState::Draining => None,
    }
}
