//! The router of one worker: the servers of each type in use, their links, and one choice among them.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use cereus_crds::{Policy, Protocol, Routing};
use parking_lot::{Mutex, RwLock};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Candidate, LinkState, Question, RoutingFunction, ask, choose, session_key};
use crate::rpc::{Link, Links, Standing};
use crate::session::Record;
use crate::topology::{Server, ServerType, Snapshot, Topology};
use crate::wire::{Error, codes, duration};

/// How servers of other types are chosen, as far as it is this server's affair.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// How long a session that always has messages in flight to a type stays with its server before the policy is asked
    /// again.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub(crate) reconsider: Duration,
    /// The zone that this server is in, if not the one that the topology tells, which in a cluster is that of its node. Servers
    /// of a type with `zone: prefer` are chosen there first.
    pub(crate) zone: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self { reconsider: Duration::from_secs(1), zone: None }
    }
}

/// Policies in code, by the server type that they choose for.
pub(crate) type RoutingFunctions = HashMap<String, Arc<RoutingFunction>>;

/// Chooses servers for one worker.
pub(crate) struct Router {
    config: Config,
    topology: Topology,
    links: Arc<Links>,
    functions: Arc<RoutingFunctions>,
    /// The types that were asked for, each with the links to all its servers.
    groups: RwLock<FxHashMap<ServerType, Group>>,
    random: Mutex<SmallRng>,
}

/// The servers of one type.
#[derive(Default)]
struct Group {
    routing: Routing,
    /// Where the caller is, if that is known.
    zone: Option<Arc<str>>,
    members: Vec<(Arc<Server>, Arc<Link>)>,
    turn: Mutex<usize>,
}

/// What a choice is about: a session's message, or a call that has no session.
#[derive(Clone, Copy)]
struct Subject<'a> {
    session: Option<&'a Record>,
    /// As the caller wrote it.
    route: &'a str,
    body: &'a [u8],
}

impl Router {
    /// A router over `links`; it knows what `topology` says.
    pub(crate) fn new(
        config: Config,
        topology: Topology,
        links: Arc<Links>,
        functions: Arc<RoutingFunctions>,
    ) -> Arc<Self> {
        let random = Mutex::new(SmallRng::from_rng(&mut rand::rng()));
        Arc::new(Self { config, topology, links, functions, groups: RwLock::default(), random })
    }

    /// Follows the topology: opens links to servers that are new, closes those to servers that are gone. Ends never.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut topology = self.topology.clone();
        loop {
            topology.changed().await;
            self.adopt();
        }
    }

    pub(super) fn adopt(&self) {
        // Read under the lock, or a type that was first asked for meanwhile would go back to an older snapshot.
        let mut groups = self.groups.write();
        let snapshot = self.topology.current();
        for (server_type, group) in groups.iter_mut() {
            self.adopt_group(server_type, group, &snapshot);
        }
        self.links.retain(&snapshot);
    }

    /// Keeps the types as they are until what is returned is dropped.
    #[cfg(test)]
    pub(super) fn hold(&self) -> impl Drop + use<'_> {
        self.groups.read()
    }

    /// Whether nobody changes the types, nor waits to.
    #[cfg(test)]
    pub(super) fn is_free(&self) -> bool {
        self.groups.try_read().is_some()
    }

    /// How long a choice stands before the policy is asked again.
    pub(crate) fn reconsider(&self) -> Duration {
        self.config.reconsider
    }

    /// The type of this name.
    ///
    /// # Errors
    /// PIT-500 when no server of that type is known.
    pub(crate) fn server_type(&self, name: &str) -> Result<ServerType, Error> {
        if let Some((server_type, _)) = self.groups.read().get_key_value(name) {
            return Ok(server_type.clone());
        }
        // Read under the lock, or a newer snapshot that is adopted meanwhile would miss this type.
        let mut groups = self.groups.write();
        let snapshot = self.topology.current();
        let Some(server) = snapshot.servers(name).first() else { return Err(no_servers(name)) };
        let server_type = server.server_type.clone();
        let group = groups.entry(server_type.clone()).or_default();
        self.adopt_group(&server_type, group, &snapshot);
        Ok(server_type)
    }

    fn adopt_group(&self, server_type: &str, group: &mut Group, snapshot: &Snapshot) {
        let own = snapshot.server(&self.links.identity().server_id);
        group.zone = self.config.zone.as_deref().map(Arc::from).or_else(|| own?.zone.clone());
        group.routing = snapshot.settings(server_type).routing.clone();
        group.members = snapshot
            .servers(server_type)
            .iter()
            .map(|server| (server.clone(), open(&self.links, server, snapshot)))
            .collect();
    }

    /// Whether a session keeps the server that was chosen for it.
    pub(crate) fn is_sticky(&self, server_type: &str) -> bool {
        self.groups.read().get(server_type).is_some_and(|group| group.routing.policy == Policy::Sticky)
    }

    /// Whether the server behind `link` may still be chosen for `server_type`.
    pub(crate) fn is_usable(&self, server_type: &str, link: &Arc<Link>) -> bool {
        let groups = self.groups.read();
        let member = groups
            .get(server_type)
            .and_then(|group| group.members.iter().find(|(_, member)| Arc::ptr_eq(member, link)));
        member.is_some_and(|(_, link)| !link.is_draining() && link.standing() != Standing::Down)
    }

    /// A server of `server_type` for a message of the session `record`.
    ///
    /// # Errors
    /// PIT-500 `no servers available of this type`.
    pub(crate) fn choose(
        &self,
        server_type: &str,
        record: &Record,
        route: &str,
        body: &[u8],
    ) -> Result<Arc<Link>, Error> {
        self.pick(server_type, Subject { session: Some(record), route, body })
    }

    /// A server of `server_type` for a call without a session.
    ///
    /// # Errors
    /// PIT-500 `no servers available of this type`.
    pub(crate) fn choose_any(&self, server_type: &str, route: &str, body: &[u8]) -> Result<Arc<Link>, Error> {
        self.pick(server_type, Subject { session: None, route, body })
    }

    /// The link to a server that was chosen before, whether or not the topology lists it still.
    pub(crate) fn link(&self, server: &str) -> Option<Arc<Link>> {
        self.links.get(server)
    }

    /// Undoes `holds` holds of the link to `server`.
    pub(crate) fn release(&self, server: &str, holds: u32) {
        if let Some(link) = self.link(server) {
            (0..holds).for_each(|_| link.release());
        }
    }

    /// The link to the server with this id.
    ///
    /// # Errors
    /// PIT-500 when the topology does not list it.
    pub(crate) fn link_to(&self, server: &str) -> Result<Arc<Link>, Error> {
        // Read under the lock, or a server that is gone from the snapshot that is adopted meanwhile would get a link that
        // nobody closes: handlers call from other threads too.
        let _groups = self.groups.write();
        let snapshot = self.topology.current();
        let known = snapshot
            .server(server)
            .ok_or_else(|| Error::new(codes::INTERNAL, "no server with this id is known").with("server", server))?;
        Ok(open(&self.links, known, &snapshot))
    }

    fn pick(&self, server_type: &str, subject: Subject<'_>) -> Result<Arc<Link>, Error> {
        let groups = self.groups.read();
        let group = groups.get(server_type).ok_or_else(|| no_servers(server_type))?;
        let function = self.functions.get(server_type);
        if let ([(server, link)], None) = (group.members.as_slice(), function) {
            let only = Candidate::new(server, state(link), 0, None).map(|_| link.clone());
            return only.ok_or_else(|| no_servers(server_type));
        }
        let mut links: SmallVec<[&Arc<Link>; 16]> = SmallVec::new();
        let mut candidates: SmallVec<[Candidate<'_>; 16]> = SmallVec::new();
        for (server, link) in &group.members {
            if let Some(candidate) = Candidate::new(server, state(link), link.pending(), group.zone.as_deref()) {
                candidates.push(candidate);
                links.push(link);
            }
        }
        let chosen = if let Some(function) = function {
            subject.ask(server_type, |question| {
                // It runs in the tasks of connections and links: its panic must not end those.
                catch_unwind(AssertUnwindSafe(|| ask(&**function, question, &candidates))).unwrap_or_else(|_| {
                    tracing::error!(server_type, "a routing function panicked");
                    None
                })
            })
        } else {
            let is_hashed = group.routing.policy == Policy::Hash;
            let hash = || subject.ask(server_type, |question| session_key(&group.routing.key, question));
            let key = if is_hashed { hash() } else { None };
            choose(&candidates, &group.routing, key, &mut group.turn.lock(), &mut *self.random.lock())
        };
        let link = chosen.and_then(|chosen| links.get(chosen));
        link.map(|link| Arc::clone(link)).ok_or_else(|| no_servers(server_type))
    }
}

impl Subject<'_> {
    /// Lets `judge` look at it as a question. Only for those who do: the session has to be read for it.
    fn ask<T>(self, server_type: &str, judge: impl FnOnce(&Question<'_>) -> T) -> T {
        let session = self.session.map(Record::representation);
        let route =
            self.route.strip_prefix(server_type).and_then(|route| route.strip_prefix('.')).unwrap_or(self.route);
        let question = Question { server_type, route, body: self.body, ..Question::default() };
        let Some(session) = &session else { return judge(&question) };
        let uid = (!session.uid.is_empty()).then(|| session.uid.as_str());
        judge(&Question { session: Some(session.id.get()), uid, data: &session.data, ..question })
    }
}

/// The link to `server`, in the way that its type is called.
fn open(links: &Links, server: &Server, snapshot: &Snapshot) -> Arc<Link> {
    match snapshot.settings(&server.server_type).protocol {
        Protocol::Cereus => links.open(server),
        Protocol::Pitaya => links.open_unary(server),
    }
}

fn state(link: &Link) -> LinkState {
    match link.standing() {
        Standing::Down => LinkState::Down,
        _ if link.is_draining() => LinkState::Draining,
        Standing::Live => LinkState::Live,
        Standing::Connecting => LinkState::Opening,
    }
}

fn no_servers(server_type: &str) -> Error {
    Error::new(codes::INTERNAL, "no servers available of this type").with("type", server_type)
}

impl fmt::Debug for Router {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Router").field("config", &self.config).finish_non_exhaustive()
    }
}
