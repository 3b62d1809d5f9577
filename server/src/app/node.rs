//! One worker's share of a server, wired together: links, router, dispatch and connections.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::Notify;
use tonic::service::Routes;

use super::config::Settings;
use crate::agent;
use crate::dispatch::{Dispatcher, DispatcherParts};
use crate::forward::{
    Events, Incoming, IncomingParts, Pins, PitayaParts, PitayaService, RemoteLanes, Sessions, UserCalls,
};
use crate::group::{self, Channels, Home};
use crate::handler::{Registry, Runtime};
use crate::lanes::{Placement, Spawner};
use crate::request::{Afterwards, App};
use crate::router::{Router, RoutingFunctions};
use crate::rpc::{self, Certificates, Families, Identity, Links};
use crate::session::{Pool, SessionIds};
use crate::topology::Topology;

/// What the workers of a server share.
pub(super) struct Shared {
    pub(super) identity: Arc<Identity>,
    pub(super) registry: Arc<Registry>,
    pub(super) handlers: Arc<Runtime>,
    pub(super) topology: Topology,
    /// What links are encrypted with, if they are.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) functions: Arc<RoutingFunctions>,
    pub(super) connections: Arc<agent::Settings>,
    pub(super) pool: Arc<Pool>,
    pub(super) lanes: Arc<RemoteLanes>,
    pub(super) pins: Arc<Pins>,
    pub(super) placement: Arc<Placement>,
    /// The handle for user code, by worker.
    pub(super) apps: Arc<[App]>,
    /// Where lanes and calls run, by worker. A drain waits for them.
    pub(super) work: Arc<[Spawner]>,
    /// Told when a drain may have got further.
    pub(super) progress: Arc<Notify>,
    pub(super) channels: Arc<Channels>,
    pub(super) frames: Arc<group::Frames>,
    /// Counts what is learnt of sessions at frontends that make unary calls.
    pub(super) versions: Arc<AtomicU64>,
}

/// One worker's share.
pub(super) struct Node {
    pub(super) links: Arc<Links>,
    pub(super) router: Arc<Router>,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) agents: Arc<agent::Worker>,
    pub(super) incoming: Arc<Incoming>,
    /// What is served beside the links.
    pub(super) calls: Routes,
}

impl Node {
    /// Wires worker `index`, whose handle for user code is `app` and whose lanes run on `work`. Must be called within the
    /// worker's runtime.
    pub(super) fn new(shared: &Shared, settings: &Settings, index: usize, app: &App, work: &Spawner) -> Self {
        let links =
            Links::with_certificates(shared.identity.clone(), index, &settings.link, shared.certificates.clone());
        let router =
            Router::new(settings.routing.clone(), shared.topology.clone(), links.clone(), shared.functions.clone());
        app.provide(Arc::new(UserCalls::new(router.clone(), settings.server.request_timeout)));
        app.provide(Arc::new(Home::new(shared.channels.clone(), index)));
        app.provide(Arc::new(Afterwards::new(work.handle().clone(), work.tracker().clone())));
        shared.channels.attach(index, links.clone(), router.clone());
        let incoming = Arc::new(Incoming::new(IncomingParts {
            server_type: shared.identity.server_type.clone(),
            registry: shared.registry.clone(),
            handlers: shared.handlers.clone(),
            apps: shared.apps.clone(),
            lanes: shared.lanes.clone(),
            pins: shared.pins.clone(),
            spawners: shared.work.clone(),
            placement: shared.placement.clone(),
            worker: index,
            requests_per_link: settings.lanes.requests_per_link,
            hand_overs: settings.lanes.hand_overs,
            refused: AtomicU64::new(0),
        }));
        let calls = rpc::pitaya::routes(PitayaService::new(PitayaParts {
            identity: shared.identity.clone(),
            incoming: incoming.clone(),
            pool: shared.pool.clone(),
            topology: shared.topology.clone(),
            certificates: shared.certificates.clone(),
            versions: shared.versions.clone(),
            request_timeout: settings.server.request_timeout,
        }));
        links.attach(Families {
            requests: incoming.clone(),
            sessions: Arc::new(Sessions::new(shared.pool.clone(), router.clone())),
            links: Arc::new(Events::new(
                links.clone(),
                shared.pool.clone(),
                shared.pins.clone(),
                shared.progress.clone(),
            )),
            channels: shared.frames.clone(),
        });
        let dispatcher = Dispatcher::new(DispatcherParts {
            server_type: shared.identity.server_type.clone(),
            app: app.clone(),
            registry: shared.registry.clone(),
            handlers: shared.handlers.clone(),
            router: router.clone(),
            spawner: work.clone(),
            request_timeout: settings.server.request_timeout,
            session_messages: settings.lanes.session_messages,
        });
        // A session id carries its worker in eight bits, and there are never more workers than that.
        let ids = SessionIds::new(u8::try_from(index).unwrap_or(u8::MAX));
        let agents =
            agent::Worker::new(shared.connections.clone(), Arc::new(dispatcher.clone()), shared.pool.clone(), ids);
        Self { links, router, dispatcher, agents, incoming, calls }
    }
}
