//! One view of the cluster. It never changes; a newer view is another snapshot.

use std::{net::SocketAddr, sync::Arc};

use cereus_crds::{HashKey, Policy, Protocol, Routing, Zone};
use rustc_hash::FxHashMap;
use serde::Serialize;

/// Names one server: the pod's uid in a cluster. Unique among the servers of all types.
pub type ServerId = Arc<str>;

/// The name of a server type, as the first part of a route gives it.
pub type ServerType = Arc<str>;

/// One server, as the cluster's endpoint controller sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The server's id.
    pub id: ServerId,
    /// Its type.
    pub server_type: ServerType,
    /// Where it listens for links.
    pub address: SocketAddr,
    /// The zone it runs in, when known.
    pub zone: Option<Arc<str>>,
    /// The version it runs, when known; see `cereus_crds::names::VERSION_LABEL`.
    pub version: Option<Arc<str>>,
    /// It takes new work.
    pub ready: bool,
    /// It answers; a server that is stopping can be serving without being ready.
    pub serving: bool,
    /// It was told to stop.
    pub terminating: bool,
}

impl Server {
    /// A server that takes new work, and of which nothing else is known.
    pub fn new(id: impl Into<ServerId>, server_type: impl Into<ServerType>, address: impl Into<SocketAddr>) -> Self {
        Self {
            id: id.into(),
            server_type: server_type.into(),
            address: address.into(),
            zone: None,
            version: None,
            ready: true,
            serving: true,
            terminating: false,
        }
    }
}

/// What a ServerType says about calling servers of that type.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeSettings {
    /// How one of the servers is chosen.
    pub routing: Routing,
    /// How they are called.
    pub protocol: Protocol,
    /// Clients connect to them.
    pub frontend: bool,
}

/// What holds for a type without a ServerType: `TypeSettings::default()`, in a place that can be borrowed from.
static DEFAULT_SETTINGS: TypeSettings = TypeSettings {
    routing: Routing { policy: Policy::LeastPending, key: HashKey::Uid, zone: Zone::Ignore },
    protocol: Protocol::Cereus,
    frontend: false,
};

/// How much of what a source delivered could not be made use of, by reason. It says nothing about the servers, so two
/// snapshots that differ in it alone are the same view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Objects or files that could not be decoded.
    pub undecodable: usize,
    /// Endpoints of slices without a usable port named `link`.
    pub no_link_port: usize,
    /// Endpoints without an address of an IP family.
    pub no_address: usize,
    /// Endpoints that refer to nothing that could name the server.
    pub no_target: usize,
    /// ServerTypes without a name, or with the name of another one.
    pub server_types: usize,
}

impl Skipped {
    /// The sum over all reasons.
    pub fn total(&self) -> usize {
        self.undecodable + self.no_link_port + self.no_address + self.no_target + self.server_types
    }
}

/// All servers and types at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    servers: FxHashMap<ServerType, Vec<Arc<Server>>>,
    by_id: FxHashMap<ServerId, Arc<Server>>,
    types: FxHashMap<ServerType, TypeSettings>,
    skipped: Skipped,
}

impl Snapshot {
    /// A view of these servers and types. Of servers with the same id the last one counts, and so with types.
    pub fn new(
        servers: impl IntoIterator<Item = Server>,
        types: impl IntoIterator<Item = (ServerType, TypeSettings)>,
    ) -> Self {
        let by_id: FxHashMap<_, _> =
            servers.into_iter().map(|server| (Arc::clone(&server.id), Arc::new(server))).collect();
        let mut grouped: FxHashMap<ServerType, Vec<Arc<Server>>> = FxHashMap::default();
        for server in by_id.values() {
            grouped.entry(Arc::clone(&server.server_type)).or_default().push(Arc::clone(server));
        }
        for group in grouped.values_mut() {
            group.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        }
        Self { servers: grouped, by_id, types: types.into_iter().collect(), skipped: Skipped::default() }
    }

    /// The same view, with the count of what its source had to leave out.
    #[must_use]
    pub fn with_skipped(mut self, skipped: Skipped) -> Self {
        self.skipped = skipped;
        self
    }

    /// The servers of a type, sorted by id; none when the type is not known.
    pub fn servers(&self, server_type: &str) -> &[Arc<Server>] {
        self.servers.get(server_type).map_or(&[], Vec::as_slice)
    }

    /// The server with this id, whatever its type.
    pub fn server(&self, id: &str) -> Option<&Arc<Server>> {
        self.by_id.get(id)
    }

    /// What the ServerType of this name says; the defaults when there is none.
    pub fn settings(&self, server_type: &str) -> &TypeSettings {
        self.types.get(server_type).unwrap_or(&DEFAULT_SETTINGS)
    }

    /// Every server of every type, in no particular order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.by_id.values()
    }

    /// Every type that has a ServerType, in no particular order.
    pub fn types(&self) -> impl Iterator<Item = (&ServerType, &TypeSettings)> {
        self.types.iter()
    }

    /// What its source had to leave out.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// Whether both show the same servers and types.
    pub fn is_same_view(&self, other: &Self) -> bool {
        self.by_id == other.by_id && self.types == other.types
    }
}
