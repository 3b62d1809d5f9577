//! Servers whose links run over in-memory connections: one that forwards, and others that answer as a test says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use cereus_crds::{Policy, Routing};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::{Events, Pins, RemoteLanes, Sessions};
use crate::lanes::Spawner;
use crate::request::State;
use crate::router::{self, Router, RoutingFunctions};
use crate::rpc::bench_support::Deaf;
use crate::rpc::proto::refusal::Reason;
use crate::rpc::tests::support::{Network, identity};
use crate::rpc::{Config, Families, Identity, Link, LinkEvents, Links, Requests, proto, serve_incoming};
use crate::session::{BoxFuture, Changes, Entity, Frontend, KickReason, Pool, PushError, SaveError, SessionId};
use crate::topology::{Publisher, Server, Snapshot, Topology, TypeSettings};
use crate::wire::{Error, Text};

/// Waits until nothing moves any more: with paused time the clock advances only then.
pub(crate) async fn quiet() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Starts tasks of worker 0 on this runtime.
pub(crate) fn spawner() -> Spawner {
    Spawner::new(0, Handle::current())
}

/// A ready server of the type `room`.
pub(crate) fn server(id: &str, port: u16) -> Server {
    Server::new(id, "room", ([127, 0, 0, 1], port))
}

/// Accepts links for those whom `families` makes until the runtime ends.
pub(crate) fn accept(
    network: &Network,
    server: &Server,
    identity: Arc<Identity>,
    families: impl FnOnce(&Arc<Links>) -> Families,
) -> Arc<Links> {
    let links = Links::with_connector(identity, 0, &Config::default(), network.clone());
    links.attach(families(&links));
    let incoming = network.listen(&server.address.to_string());
    let forever = CancellationToken::new().cancelled_owned();
    spawner().spawn(serve_incoming(incoming, links.clone(), Routes::default(), forever));
    links
}

/// A server of the type `room` that answers as the test says.
pub(crate) struct Far {
    pub(crate) server: Server,
    pub(crate) links: Arc<Links>,
    incarnation: u64,
    script: Arc<Script>,
}

/// What it was sent.
#[derive(Default)]
struct Script {
    taken: Mutex<VecDeque<(Arc<Link>, proto::Request)>>,
    closed: Mutex<Vec<i64>>,
    /// Messages of sessions whose end it was told before.
    late: AtomicUsize,
    answered: AtomicUsize,
    cancelled: Mutex<Vec<u64>>,
    accepted: Mutex<Option<Arc<Link>>>,
}

impl Far {
    pub(crate) fn start(network: &Network, id: &str, port: u16) -> Self {
        let (server, script) = (server(id, port), Arc::new(Script::default()));
        let families = Families {
            requests: script.clone(),
            sessions: Arc::new(Deaf),
            links: script.clone(),
            channels: Arc::new(Deaf),
        };
        let identity = identity(id, "json");
        let incarnation = identity.incarnation;
        Self { links: accept(network, &server, identity, |_| families), server, incarnation, script }
    }

    /// The bodies of the requests that wait for an answer, in the order in which they came.
    pub(crate) fn taken(&self) -> Vec<String> {
        let taken = self.script.taken.lock();
        taken.iter().map(|(_, request)| String::from_utf8_lossy(&request.body).into_owned()).collect()
    }

    /// What was said of the request that came first of those that wait.
    pub(crate) fn first(&self) -> proto::Request {
        self.script.taken.lock().front().expect("a request waits").1.clone()
    }

    /// Answers the request that came first with its own body; false when there is none.
    pub(crate) fn answer(&self) -> bool {
        let answered = self.reply(|request| proto::Response::body(request.id, request.body));
        self.script.answered.fetch_add(usize::from(answered), Relaxed);
        answered
    }

    /// Refuses the request that came first; false when there is none.
    pub(crate) fn refuse(&self) -> bool {
        self.reply(|request| proto::Response::refused(request.id, Reason::Full))
    }

    fn reply(&self, response: impl FnOnce(proto::Request) -> proto::Response) -> bool {
        let Some((link, request)) = self.script.taken.lock().pop_front() else { return false };
        link.send(response(request).into());
        true
    }

    /// The sessions whose end it was told, in that order.
    pub(crate) fn closed(&self) -> Vec<i64> {
        self.script.closed.lock().clone()
    }

    /// Whether it answered any request.
    pub(crate) fn answered(&self) -> bool {
        self.script.answered.load(Relaxed) > 0
    }

    /// How many messages came of sessions whose end it was told before.
    pub(crate) fn late(&self) -> usize {
        self.script.late.load(Relaxed)
    }

    /// The calls that nobody waits for any more.
    pub(crate) fn cancelled(&self) -> Vec<u64> {
        self.script.cancelled.lock().clone()
    }

    /// Its process, as it says in its greeting.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The link that it accepted last.
    pub(crate) fn accepted(&self) -> Arc<Link> {
        self.script.accepted.lock().clone().expect("a link was accepted")
    }

    /// Forgets the requests that wait: their link is lost. Gives their bodies.
    pub(crate) fn forget(&self) -> Vec<String> {
        let taken = self.taken();
        self.script.taken.lock().clear();
        taken
    }

    /// Says that it is going away.
    pub(crate) fn drain(&self) {
        self.links.drain(Duration::from_mins(1));
    }
}

impl Requests for Script {
    fn request(&self, link: &Arc<Link>, request: proto::Request, _: tokio::time::Instant) {
        let session = request.session.as_ref().map_or(0, |session| session.id);
        if self.closed.lock().contains(&session) {
            self.late.fetch_add(1, Relaxed);
        }
        self.taken.lock().push_back((link.clone(), request));
    }

    fn cancel(&self, _: &Arc<Link>, id: u64) {
        self.cancelled.lock().push(id);
    }

    fn closed(&self, _: &Arc<Link>, closed: proto::Closed) {
        self.closed.lock().push(closed.session.map_or(0, |session| session.id));
    }

    fn batch_done(&self, _: &Arc<Link>) {}
}

impl LinkEvents for Script {
    fn up(&self, link: &Arc<Link>) {
        *self.accepted.lock() = Some(link.clone());
    }

    fn down(&self, _: &Arc<Link>) {}
    fn draining(&self, _: &Arc<Link>) {}
    fn drained(&self, _: &Arc<Link>) {}
}

/// The server that forwards: its router follows what the test publishes.
pub(crate) struct Near {
    pub(crate) router: Arc<Router>,
    pub(crate) pool: Arc<Pool>,
    publisher: Publisher,
    policy: Policy,
}

impl Near {
    /// A server that knows of `others`, and chooses among them in turn.
    pub(crate) fn start(network: &Network, others: &[&Far]) -> Self {
        Self::start_with(network, others, Policy::RoundRobin, RoutingFunctions::default())
    }

    pub(crate) fn start_with(network: &Network, others: &[&Far], policy: Policy, functions: RoutingFunctions) -> Self {
        let (publisher, topology) = Topology::channel(snapshot(others, policy));
        let links = Links::with_connector(identity("near", "json"), 0, &Config::default(), network.clone());
        let router = Router::new(router::Config::default(), topology, links.clone(), Arc::new(functions));
        let (pool, progress) = (Arc::new(Pool::new()), Arc::new(Notify::new()));
        let pins = Pins::new(Arc::new(RemoteLanes::new()));
        links.attach(Families {
            requests: Arc::new(Script::default()),
            sessions: Arc::new(Sessions::new(pool.clone(), router.clone())),
            links: Arc::new(Events::new(links.clone(), pool.clone(), pins, progress)),
            channels: Arc::new(Deaf),
        });
        spawner().spawn(router.clone().follow());
        Self { router, pool, publisher, policy }
    }

    /// From now on the topology lists these.
    pub(crate) fn publish(&self, others: &[&Far]) {
        self.publisher.publish(snapshot(others, self.policy));
    }
}

fn snapshot(others: &[&Far], policy: Policy) -> Snapshot {
    let routing = Routing { policy, ..Routing::default() };
    let settings = TypeSettings { routing, ..TypeSettings::default() };
    Snapshot::new(others.iter().map(|other| other.server.clone()), [("room".into(), settings)])
}

/// A client's message for the type `room`, as a frame.
pub(crate) fn request(session: i64, method: &str, body: impl Into<Bytes>) -> proto::Request {
    proto::Request {
        route: Bytes::from(format!("room.test.{method}")),
        body: body.into(),
        session: Some(proto::Session {
            id: session,
            data: Bytes::from_static(b"{}"),
            version: 1,
            ..Default::default()
        }),
        timeout_micros: 10_000_000,
        message_id: 1,
        ..Default::default()
    }
}

/// A client's connection that takes everything and remembers nothing.
pub(crate) struct Socket;

impl Entity for Socket {
    fn try_push(&self, _: SessionId, _: &str, _: &Bytes) -> Result<(), PushError> {
        Ok(())
    }

    fn writable(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn kick(&self, _: SessionId, _: KickReason) {}

    fn bind(&self, _: SessionId, _: Text) -> BoxFuture<'static, Result<u64, Error>> {
        Box::pin(std::future::ready(Ok(2)))
    }

    fn save(&self, _: SessionId, _: Changes) -> BoxFuture<'static, Result<u64, SaveError>> {
        Box::pin(std::future::ready(Err(SaveError::Gone)))
    }

    fn pin(&self, _: SessionId) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn unpin(&self, _: SessionId) {}

    fn address(&self) -> Frontend {
        Frontend { id: "near".into(), server_type: "front".into() }
    }
}

/// What handlers did, and what lets them end.
pub(crate) struct Journal {
    lines: Mutex<Vec<String>>,
    go: Semaphore,
}

impl Journal {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { lines: Mutex::default(), go: Semaphore::new(0) })
    }

    pub(crate) fn note(&self, line: impl Into<String>) {
        self.lines.lock().push(line.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Lets one handler that waits end.
    pub(crate) fn go(&self) {
        self.go.add_permits(1);
    }

    /// Until the test lets this handler end.
    pub(crate) async fn wait(&self) {
        self.go.acquire().await.unwrap().forget();
    }
}

pub(crate) fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// A handler that ends when the test lets it.
pub(crate) async fn wait(State(journal): State<Journal>, body: Bytes) -> Bytes {
    journal.note(format!("begin {}", text(&body)));
    journal.wait().await;
    journal.note(format!("end {}", text(&body)));
    body
}

/// A handler that answers with its argument at once.
pub(crate) async fn note(State(journal): State<Journal>, body: Bytes) -> Bytes {
    journal.note(text(&body));
    body
}
