//! Servers with channels, whose links run over in-memory connections, and clients that note what they get.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::group::{Channels, ChannelsParts, Config, Frames, Home};
use crate::lanes::Spawner;
use crate::request::App;
use crate::router::{self, Router, RoutingFunctions};
use crate::rpc::bench_support::Deaf;
use crate::rpc::tests::support::{Network, Stub, identity};
use crate::rpc::{self, Families, Links, serve_incoming};
use crate::session::{
    BoxFuture, Changes, CloseReason, Copy, Entity, Entry, Frontend, KickReason, Pool, PushError, Record, SaveError,
    Session, SessionId, Subscription,
};
use crate::topology::{Publisher, Server, Snapshot, Topology};
use crate::wire::{Error, Text};

/// Waits until nothing moves any more: with paused time the clock advances only then.
pub(super) async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Servers that know each other.
pub(super) struct Game {
    pub(super) network: Network,
    publisher: Publisher,
    topology: Topology,
    servers: Mutex<Vec<Server>>,
}

impl Game {
    pub(super) fn new() -> Self {
        let (publisher, topology) = Topology::channel(Snapshot::default());
        Self { network: Network::default(), publisher, topology, servers: Mutex::default() }
    }

    /// Starts a server of the type `room` at this port, with one worker.
    pub(super) fn start(&self, name: &str, port: u16) -> Host {
        self.start_with(name, port, 1, Config::default(), &rpc::Config::default())
    }

    /// The same with so many workers; all links are accepted by the first.
    pub(super) fn start_with(&self, name: &str, port: u16, workers: usize, config: Config, link: &rpc::Config) -> Host {
        let server = Server::new(name, "room", ([127, 0, 0, 1], port));
        let identity = identity(name, "json");
        let spawners: Arc<[Spawner]> = (0..workers).map(|worker| Spawner::new(worker, Handle::current())).collect();
        let channels = Channels::new(ChannelsParts {
            identity: identity.clone(),
            topology: self.topology.clone(),
            spawners: spawners.clone(),
            config,
            max_frame: link.max_frame,
        });
        let pool = Arc::new(Pool::new());
        let frames = Arc::new(Frames::new(channels.clone(), pool.clone()));
        pool.attach(frames.clone());
        let app = App::builder(name, "room").build();
        let (mut apps, mut all) = (Vec::new(), Vec::new());
        for worker in 0..workers {
            let links = Links::with_connector(identity.clone(), worker, link, self.network.clone());
            let stub = Arc::new(Stub::default());
            let sessions = stub.clone();
            links.attach(Families { requests: stub, sessions, links: Arc::new(Deaf), channels: frames.clone() });
            let router = Router::new(
                router::Config::default(),
                self.topology.clone(),
                links.clone(),
                Arc::new(RoutingFunctions::default()),
            );
            channels.attach(worker, links.clone(), router);
            let app = app.on_worker();
            app.provide(Arc::new(Home::new(channels.clone(), worker)));
            apps.push(app);
            all.push(links);
        }
        let stop = CancellationToken::new();
        let incoming = self.network.listen(&server.address.to_string());
        let stopped = stop.clone().cancelled_owned();
        spawners[0].spawn(serve_incoming(incoming, all[0].clone(), Routes::default(), stopped));
        spawners[0].spawn(stop.clone().run_until_cancelled_owned(channels.clone().withdraw()));
        self.list(server.clone());
        Host { server, channels, pool, apps, links: all, stop, network: self.network.clone() }
    }

    /// From now on the topology has no such server.
    pub(super) fn unlist(&self, id: &str) {
        let mut servers = self.servers.lock();
        servers.retain(|other| *other.id != *id);
        self.publisher.publish(Snapshot::new(servers.iter().cloned(), []));
    }

    /// From now on the topology has this server in the place of the one with its id.
    pub(super) fn list(&self, server: Server) {
        let mut servers = self.servers.lock();
        servers.retain(|other| other.id != server.id);
        servers.push(server);
        self.publisher.publish(Snapshot::new(servers.iter().cloned(), []));
    }
}

/// One server.
pub(super) struct Host {
    pub(super) server: Server,
    pub(super) channels: Arc<Channels>,
    pub(super) pool: Arc<Pool>,
    pub(super) apps: Vec<App>,
    pub(super) links: Vec<Arc<Links>>,
    stop: CancellationToken,
    network: Network,
}

impl Host {
    /// A client that is connected to it.
    pub(super) fn client(&self, id: i64) -> Arc<Client> {
        let session = SessionId::try_from(id).unwrap();
        let client = Arc::new(Client {
            record: Arc::new(Record::new(session)),
            pool: self.pool.clone(),
            frontend: Frontend { id: self.server.id.clone(), server_type: "room".into() },
            got: Mutex::default(),
        });
        self.pool.insert(Arc::new(Entry { record: client.record.clone(), entity: client.clone() }));
        client
    }

    /// Publishes `text`; how many frontends it was queued for, how many are not interested, how many it was not queued
    /// for.
    pub(super) fn publish(&self, channel: &str, text: &str) -> (usize, usize, usize) {
        let published = self.apps[0].publish_bytes(channel, "news", text.to_owned()).unwrap();
        (published.queued, published.not_interested, published.not_queued.len())
    }

    /// What it knows of the server `name`: `no link`, how many channels were announced, or that it has to send `all`.
    pub(super) fn knows(&self, name: &str) -> String {
        let status = serde_json::to_value(self.channels.status()).unwrap();
        let known = status["known"].as_array().unwrap().iter().find(|known| known["server"] == name);
        let channels = known.map(|known| known["channels"].as_u64());
        channels.map_or("no link".into(), |count| count.map_or("all".into(), |count| count.to_string()))
    }

    /// How the servers that publish to it take what they were told.
    pub(super) fn told(&self) -> Vec<String> {
        let status = serde_json::to_value(self.channels.status()).unwrap();
        status["told"].as_array().unwrap().iter().map(|told| told["state"].as_str().unwrap().to_owned()).collect()
    }

    /// Ends without a word.
    pub(super) fn kill(self) {
        self.stop.cancel();
        self.network.cut();
    }
}

/// A client's connection.
pub(super) struct Client {
    pub(super) record: Arc<Record>,
    pool: Arc<Pool>,
    frontend: Frontend,
    got: Mutex<Vec<String>>,
}

impl Client {
    pub(super) fn subscribe(&self, channel: &str) -> BoxFuture<'static, Result<(), Error>> {
        self.subscribe_with(channel, Subscription::new())
    }

    pub(super) fn subscribe_with(
        &self,
        channel: &str,
        subscription: Subscription,
    ) -> BoxFuture<'static, Result<(), Error>> {
        self.pool.subscribe(self.record.id(), Text::copied(channel), subscription)
    }

    /// The session, as handlers see it.
    pub(super) fn session(self: &Arc<Self>) -> Session {
        let copy = Copy::new(self.record.representation(), self.clone(), Arc::default());
        Session::new(copy, tokio::time::Instant::now())
    }

    pub(super) fn unsubscribe(&self, channel: &str) {
        self.pool.unsubscribe(self.record.id(), channel);
    }

    /// The connection ends.
    pub(super) fn close(&self) {
        self.pool.remove(self.record.id());
        self.record.close(CloseReason::ClientClosed);
    }

    /// What came since the last time.
    pub(super) fn got(&self) -> Vec<String> {
        std::mem::take(&mut *self.got.lock())
    }
}

impl Entity for Client {
    fn try_push(&self, session: SessionId, route: &str, body: &Bytes) -> Result<(), PushError> {
        assert_eq!((session, route), (self.record.id(), "news"));
        self.got.lock().push(String::from_utf8(body.to_vec()).unwrap());
        Ok(())
    }

    fn writable(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn kick(&self, _: SessionId, _: KickReason) {}

    fn bind(&self, _: SessionId, uid: Text) -> BoxFuture<'static, Result<u64, Error>> {
        Box::pin(std::future::ready(self.record.bind(&uid)))
    }

    fn save(&self, _: SessionId, _: Changes) -> BoxFuture<'static, Result<u64, SaveError>> {
        Box::pin(std::future::ready(Err(SaveError::Gone)))
    }

    fn pin(&self, _: SessionId) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn unpin(&self, _: SessionId) {}

    fn address(&self) -> Frontend {
        self.frontend.clone()
    }
}
