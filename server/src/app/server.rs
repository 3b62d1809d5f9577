//! A server, put together: everything of one process but its threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::Context as _;
use rand::Rng as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admin::{Admin, Phase};
use super::application::{Application, Observer, Running};
use super::config::{SerializerName, Settings};
use super::node::{Node, Shared};
use super::signals::StopRequests;
use super::sockets::{self, LINKS_ON_THE_WAY, LinkListener, Listening};
use super::workers::{Background, Ticks, Workers};
use crate::acceptor::{self, Admission, Gauge};
use crate::agent;
use crate::forward::{Pins, RemoteLanes};
use crate::group::{self, Channels, ChannelsParts};
use crate::handler::Runtime;
use crate::lanes::{Placement, Spawner};
use crate::request::App;
use crate::rpc::{self, Certificates, Identity};
use crate::session::{Frontend, Pool};
use crate::topology::{Snapshot, Source, Topology};
use crate::wire::{Dictionary, Serializer};

/// All of a server that its life and its status need.
pub(super) struct Server {
    pub(super) settings: Settings,
    pub(super) identity: Arc<Identity>,
    /// Clients connect to it, if only through an acceptor of the game's own.
    pub(super) frontend: bool,
    pub(super) nodes: Vec<Node>,
    pub(super) shared: Shared,
    pub(super) started: Instant,
    pub(super) stop: StopRequests,
    pub(super) stops: Stops,
    /// Tasks of all workers and of the connections.
    pub(super) spawners: Vec<Spawner>,
    pub(super) connections: Vec<Spawner>,
    /// The accept loops, each of which has its listener; closed when they are told to end.
    pub(super) accepting: TaskTracker,
    /// Counts the connections that are handed to workers and not taken yet, once clients are let in.
    pub(super) connections_handed: OnceLock<Gauge>,
    /// The same of links, once the listener is open.
    pub(super) links_handed: OnceLock<Gauge>,
    /// Keeps the topology followed; none when the server knows no other.
    pub(super) source: Option<Box<dyn Source>>,
    phase: AtomicU8,
    /// It was told to drain by hand, not because it is being deleted: nobody else takes it out of service.
    pub(super) withdrawn: AtomicBool,
}

/// What only starting and stopping need.
pub(super) struct Sockets {
    pub(super) acceptors: Vec<Listening>,
    pub(super) links: Option<std::net::TcpListener>,
    pub(super) admin: Option<Admin>,
    pub(super) observers: Vec<Observer>,
}

impl Server {
    /// Puts a server together. Nothing is accepted yet, but every socket is bound. To be called within the background
    /// runtime.
    pub(super) fn build(
        settings: Settings,
        source: Option<(Topology, Box<dyn Source>)>,
        application: Application,
        workers: &Workers,
        background: &Background,
        stop: StopRequests,
    ) -> anyhow::Result<(Arc<Self>, Sockets)> {
        let Application {
            registry, states, dictionary, validators, functions, acceptors, serializer, observers, ..
        } = application;
        let serializer = serializer.unwrap_or_else(|| built_in(settings.server.serializer));
        let id = settings.server.id.clone().unwrap_or_else(|| format!("{:016x}", rand::rng().random::<u64>()));
        let identity = Arc::new(Identity {
            server_id: id.into(),
            incarnation: rand::rng().random_range(1..=u64::MAX),
            server_type: settings.server.server_type.as_str().into(),
            serializer: serializer.name().into(),
        });
        let (topology, source) = source.unzip();
        let topology = topology.unwrap_or_else(|| Topology::fixed(Snapshot::default()));
        let certificates = certificates(&settings)?;
        let links = source.as_ref().map(|_| rpc::bind(&settings.link)).transpose()?;
        let mut listening = sockets::bind(&settings.acceptor, settings.agent.max_packet)?;
        for acceptor in acceptors {
            listening.push(acceptor.bind().map_err(|error| anyhow::anyhow!(error))?);
        }
        let bind_admin = |address| Admin::bind(address, settings.admin.token.clone());
        let admin = settings.admin.listen.map(bind_admin).transpose()?;

        let frontend = settings.is_frontend() || !listening.is_empty();
        let mut app =
            App::builder(identity.server_id.clone(), identity.server_type.clone()).serializer(serializer.clone());
        if frontend {
            app = app.frontend();
        }
        let app = states.into_iter().fold(app, |app, state| state(app)).build();
        app.provide(Arc::new(background.for_user_code()));
        let handlers = Arc::new(Runtime::new(settings.handler, background.spawner().handle().clone()));
        let connections = agent::Settings::new(agent::SettingsParts {
            config: settings.agent.clone(),
            wire: settings.wire,
            dictionary: Dictionary::new(dictionary)?,
            serializer,
            validators,
            frontend: Frontend { id: identity.server_id.clone(), server_type: identity.server_type.clone() },
        })
        .context("the dictionary does not fit into the answer to a handshake")?;
        let lanes = Arc::new(RemoteLanes::new());
        let own = |spawner: &Spawner| Spawner::new(spawner.worker(), spawner.handle().clone());
        let pool = Arc::new(Pool::new());
        let work: Arc<[Spawner]> = workers.spawners().map(own).collect();
        let channels = Channels::new(ChannelsParts {
            identity: identity.clone(),
            topology: topology.clone(),
            spawners: work.clone(),
            config: settings.channels,
            max_frame: settings.link.max_frame,
        });
        let frames = Arc::new(group::Frames::new(channels.clone(), pool.clone()));
        pool.attach(frames.clone());
        let shared = Shared {
            channels,
            frames,
            identity: identity.clone(),
            registry: Arc::new(registry.build()?),
            handlers,
            topology,
            certificates,
            functions: Arc::new(functions),
            connections: Arc::new(connections),
            pool,
            pins: Pins::new(lanes.clone()),
            lanes,
            placement: Arc::new(Placement::new(workers.len())),
            apps: workers.spawners().map(|_| app.on_worker()).collect(),
            work,
            progress: Arc::default(),
            versions: Arc::default(),
        };
        let nodes = workers.spawners().zip(shared.apps.iter().zip(shared.work.iter()));
        let nodes = nodes.map(|(spawner, (app, work))| {
            let _entered = spawner.handle().enter();
            Node::new(&shared, &settings, spawner.worker(), app, work)
        });
        let server = Self {
            nodes: nodes.collect(),
            spawners: workers.spawners().cloned().collect(),
            connections: workers.spawners().map(own).collect(),
            accepting: TaskTracker::new(),
            identity,
            frontend,
            shared,
            settings,
            started: Instant::now(),
            stop,
            stops: Stops::default(),
            connections_handed: OnceLock::new(),
            links_handed: OnceLock::new(),
            source,
            phase: AtomicU8::new(Phase::Starting as u8),
            withdrawn: AtomicBool::new(false),
        };
        Ok((Arc::new(server), Sockets { acceptors: listening, links, admin, observers }))
    }

    /// Lets no more clients in.
    pub(super) fn stop_accepting(&self) {
        self.stops.acceptors.cancel();
        self.accepting.close();
    }

    /// Where in its life the server is.
    pub(super) fn phase(&self) -> Phase {
        Phase::ALL
            .into_iter()
            .find(|phase| *phase as u8 == self.phase.load(Ordering::Relaxed))
            .unwrap_or(Phase::Closing)
    }

    /// Enters `phase` and tells the game.
    pub(super) fn enter(&self, phase: Phase, running: &Running, observers: &mut [Observer]) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        for observer in observers {
            observer(phase, running);
        }
    }

    /// Lets probes and other servers in; gives where.
    pub(super) fn open(
        self: &Arc<Self>,
        sockets: &mut Sockets,
        background: &Spawner,
        ticks: &Ticks,
    ) -> anyhow::Result<Running> {
        let mut running = Running {
            id: self.identity.server_id.clone(),
            server_type: self.identity.server_type.clone(),
            link: None,
            admin: None,
            acceptors: Vec::new(),
        };
        if let Some(admin) = sockets.admin.take() {
            running.admin = Some(admin.address());
            background.spawn(admin.serve(self.clone(), ticks.clone(), self.stops.admin.clone()));
        }
        if let Some(listener) = sockets.links.take() {
            let listener = self.open_links(listener)?;
            running.link = Some(listener.address()?);
            self.links_handed.get_or_init(|| listener.gauge());
            background.spawn(listener.run(self.stops.links.clone()));
        }
        let withdrawing = self.shared.channels.clone().withdraw();
        background.spawn(self.stops.links.clone().run_until_cancelled_owned(withdrawing));
        Ok(running)
    }

    /// Lets clients in, too.
    pub(super) fn accept(&self, acceptors: Vec<Listening>, running: &mut Running) {
        let admission = Admission::new(&self.settings.acceptor, acceptors.len());
        let (dealer, seats) = acceptor::table(self.nodes.len());
        self.connections_handed.get_or_init(|| dealer.gauge());
        for ((seat, node), (spawner, connections)) in
            seats.into_iter().zip(&self.nodes).zip(self.spawners.iter().zip(&self.connections))
        {
            spawner.spawn(seat.serve(node.agents.clone(), connections.tracker().clone()));
        }
        // On the workers: a connection that stays there needs no wake of another thread.
        for (acceptor, spawner) in acceptors.into_iter().zip(self.spawners.iter().cycle()) {
            running.acceptors.push((acceptor.name.clone(), acceptor.address.clone()));
            let run = acceptor.run(admission.clone(), dealer.clone(), self.stops.acceptors.clone());
            spawner.spawn(self.accepting.track_future(run));
        }
    }

    /// Waits until the other servers are known.
    pub(super) async fn synced(&self) {
        if let Some(source) = &self.source {
            source.synced().await;
        }
    }

    fn open_links(&self, listener: std::net::TcpListener) -> std::io::Result<LinkListener> {
        let stop = &self.stops.links;
        let mut workers = Vec::new();
        for (node, spawner) in self.nodes.iter().zip(&self.spawners) {
            let (sender, receiver) = mpsc::channel(LINKS_ON_THE_WAY);
            workers.push(sender);
            spawner.spawn(rpc::serve(receiver, node.links.clone(), node.calls.clone(), stop.clone().cancelled_owned()));
            let (router, stop) = (node.router.clone(), stop.clone());
            spawner.spawn(async move { stop.run_until_cancelled(router.follow()).await });
        }
        LinkListener::new(listener, workers)
    }
}

/// What links are encrypted with, if they are.
fn certificates(settings: &Settings) -> anyhow::Result<Option<Arc<Certificates>>> {
    let Some(folder) = &settings.link.certificates else { return Ok(None) };
    let server = &settings.server;
    let certificates = Certificates::load(folder, server.namespace.as_deref(), &server.server_type);
    Ok(Some(Arc::new(certificates.context("links have no certificate")?)))
}

/// What ends the parts of a server, in the order in which they end.
#[derive(Debug, Default)]
pub(super) struct Stops {
    pub(super) acceptors: CancellationToken,
    pub(super) links: CancellationToken,
    pub(super) admin: CancellationToken,
}

/// How many workers the settings ask for.
pub(super) fn worker_count(settings: &Settings) -> NonZeroUsize {
    settings.server.workers.unwrap_or_else(Workers::default_count)
}

fn built_in(name: SerializerName) -> Serializer {
    match name {
        SerializerName::Json => Serializer::Json,
        SerializerName::Protobuf => Serializer::Protobuf,
    }
}
