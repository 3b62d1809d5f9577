//! One worker's way to the servers that hold sessions.

use std::sync::Arc;

use cereus_crds::Protocol;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::callers::{Callers, Crossings};
use super::filter::Filter;
use crate::router::Router;
use crate::rpc::{Link, Links, Standing, proto};
use crate::topology::{Server, ServerId, ServerType, Snapshot};

/// The links of one worker, and what was announced on them.
pub(super) struct Outlet {
    links: Arc<Links>,
    router: Arc<Router>,
    /// By peer; one is here while the link is up that it was announced on.
    filters: Mutex<FxHashMap<ServerId, (Arc<Link>, Filter)>>,
    targets: Mutex<Targets>,
    crossings: Crossings,
}

/// The servers that may hold sessions, as one view of the cluster has them.
struct Targets {
    snapshot: Arc<Snapshot>,
    /// What [`Callers::changes`] said.
    changes: u64,
    all: Arc<[Target]>,
}

/// A server that may hold sessions.
pub(super) enum Target {
    /// The topology lists it.
    Listed(Arc<Server>),
    /// It does not, but the server opened this link.
    Caller(Arc<Link>),
}

impl Target {
    pub(super) fn id(&self) -> &ServerId {
        match self {
            Self::Listed(server) => &server.id,
            Self::Caller(link) => link.server(),
        }
    }

    pub(super) fn server_type(&self) -> ServerType {
        match self {
            Self::Listed(server) => server.server_type.clone(),
            Self::Caller(link) => link.peer().map_or_else(|| "".into(), |peer| peer.server_type.clone()),
        }
    }
}

/// What is to be done about one server.
pub(super) enum Way {
    /// It may have members: publish to it on this link.
    Link(Arc<Link>),
    /// It has said that it has none.
    NotInterested,
    /// It can have none: it does not serve, or knows no channels.
    NotConcerned,
}

impl Outlet {
    /// For `links`, which `router` opens.
    pub(super) fn new(links: Arc<Links>, router: Arc<Router>) -> Self {
        let none = Targets { snapshot: Arc::default(), changes: 0, all: Arc::new([]) };
        Self { links, router, filters: Mutex::default(), targets: Mutex::new(none), crossings: Crossings::default() }
    }

    /// The servers but `own` that may hold sessions: all of the types that are frontends, or of which nothing is said.
    pub(super) fn targets(&self, snapshot: &Arc<Snapshot>, callers: &Callers, own: &str) -> Arc<[Target]> {
        let mut targets = self.targets.lock();
        let changes = callers.changes();
        if !Arc::ptr_eq(&targets.snapshot, snapshot) || targets.changes != changes {
            let listed = snapshot.all().filter(|server| *server.id != *own);
            let listed = listed.map(|server| Target::Listed(server.clone()));
            let callers = callers.unlisted(snapshot).into_iter().map(Target::Caller);
            let mut all: Vec<_> = listed.chain(callers).collect();
            all.retain(|target| may_hold(snapshot, &target.server_type()));
            all.sort_unstable_by(|one, other| one.id().cmp(other.id()));
            *targets = Targets { snapshot: snapshot.clone(), changes, all: all.into() };
        }
        targets.all.clone()
    }

    /// How a message for the channel goes there. Opens a link if there is none.
    pub(super) fn way(&self, target: &Target, channel: &str) -> Way {
        let server = match target {
            Target::Listed(server) => server,
            Target::Caller(link) if link.lacks_channels() => return Way::NotConcerned,
            Target::Caller(link) => return Way::Link(self.crossings.begin(link)),
        };
        if let Some(link) = self.crossings.end(&server.id) {
            return Way::Link(link);
        }
        if self.filters.lock().get(&server.id).is_some_and(|(_, filter)| !filter.passes(channel)) {
            return Way::NotInterested;
        }
        let is_live = || self.links.get(&server.id).is_some_and(|link| link.standing() == Standing::Live);
        if !server.ready && !server.serving && !is_live() {
            return Way::NotConcerned;
        }
        // No lock but for a new link, which a server gets only while the topology lists it: nobody would close it.
        let Some(link) = self.links.opened(&server.id).or_else(|| self.router.link_to(&server.id).ok()) else {
            return Way::NotConcerned;
        };
        if link.lacks_channels() { Way::NotConcerned } else { Way::Link(link) }
    }

    /// The link is up: until the peer says otherwise everything is sent to it.
    pub(super) fn up(&self, link: &Arc<Link>) {
        if self.links.is_replaced(link) {
            return;
        }
        self.filters.lock().insert(link.server().clone(), (link.clone(), Filter::default()));
    }

    /// The link is down: what was announced on it is void. Another may have taken its place.
    pub(super) fn down(&self, link: &Arc<Link>) {
        self.filters.lock().retain(|_, (announced_on, _)| !Arc::ptr_eq(announced_on, link));
    }

    /// A link that a peer opened is down.
    pub(super) fn lose(&self, link: &Arc<Link>) {
        self.crossings.lose(link);
    }

    /// The peer announced something.
    pub(super) fn apply(&self, link: &Arc<Link>, interest: &proto::Interest) {
        if let Some((announced_on, filter)) = self.filters.lock().get_mut(link.server())
            && Arc::ptr_eq(announced_on, link)
        {
            filter.apply(interest);
        }
    }

    /// The peers whose links are up, and the number of channels they announced.
    pub(super) fn known(&self) -> Vec<(ServerId, Option<usize>)> {
        self.filters.lock().iter().map(|(server, (_, filter))| (server.clone(), filter.len())).collect()
    }
}

/// Without a ServerType nobody knows whether servers of a type are frontends; one that is none says at once that it has
/// no members.
fn may_hold(snapshot: &Snapshot, server_type: &str) -> bool {
    let settings = snapshot.types().find(|(other, _)| ***other == *server_type);
    settings.is_none_or(|(_, settings)| settings.frontend && settings.protocol == Protocol::Cereus)
}
