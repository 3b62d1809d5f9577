//! Servers whose links run over in-memory connections, and what they see.

use std::{
    collections::HashMap,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{future::BoxFuture, stream};
use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    sync::{Notify, mpsc},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::service::Routes;

use crate::{
    rpc::{
        Caller, Certificates, Config, Families, Far, Identity, Link, LinkEvents, Links, Outcome, Requests, Sessions,
        bench_support::Deaf, proto, serve_incoming,
    },
    topology::Server,
};

/// Lets nothing through while it is shut.
#[derive(Default)]
struct Gate {
    is_shut: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

/// One end of a connection that can be cut, go silent, or be held up.
pub(crate) struct Wire {
    inner: DuplexStream,
    gate: Arc<Gate>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    silent: Arc<AtomicBool>,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.silent.load(SeqCst) {
            return Poll::Pending;
        }
        if self.gate.is_shut.load(SeqCst) {
            self.gate.waiting.lock().push(context.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(context, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.silent.load(SeqCst) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.inner).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl Far for Wire {
    fn far(&self) -> Option<SocketAddr> {
        None
    }
}

/// What is done to a connection.
struct Connection {
    cut: CancellationToken,
    gate: Arc<Gate>,
}

/// Who listens where, and the connections there are.
#[derive(Clone, Default)]
pub(crate) struct Network {
    listeners: Arc<Mutex<HashMap<String, mpsc::Sender<Wire>>>>,
    connections: Arc<Mutex<Vec<Connection>>>,
    silent: Arc<AtomicBool>,
    attempts: Arc<AtomicUsize>,
}

impl Network {
    /// Cuts all connections; new ones can be made.
    pub(crate) fn cut(&self) {
        self.connections.lock().drain(..).for_each(|connection| connection.cut.cancel());
    }

    /// What is on its way over the connections that there are stays there until `release`; new ones are as ever.
    pub(crate) fn hold(&self) {
        self.connections.lock().iter().for_each(|connection| connection.gate.is_shut.store(true, SeqCst));
    }

    /// Ends `hold`.
    pub(crate) fn release(&self) {
        for Connection { gate, .. } in &*self.connections.lock() {
            gate.is_shut.store(false, SeqCst);
            gate.waiting.lock().drain(..).for_each(Waker::wake);
        }
    }

    /// From now on all packets are lost.
    pub(crate) fn silence(&self) {
        self.silent.store(true, SeqCst);
    }

    pub(crate) fn attempts(&self) -> usize {
        self.attempts.load(SeqCst)
    }

    /// The connections that come to `address` from now on.
    pub(crate) fn listen(&self, address: &str) -> impl Stream<Item = io::Result<Wire>> + use<> {
        let (listener, sockets) = mpsc::channel(16);
        self.listeners.lock().insert(address.to_owned(), listener);
        stream::unfold(sockets, async |mut sockets| Some((Ok(sockets.recv().await?), sockets)))
    }

    fn connect(&self, address: &str) -> io::Result<Wire> {
        self.attempts.fetch_add(1, SeqCst);
        let listener = self.listeners.lock().get(address).cloned().ok_or(io::ErrorKind::ConnectionRefused)?;
        let (here, there) = tokio::io::duplex(256 << 10);
        let cut = CancellationToken::new();
        let gate = Arc::new(Gate::default());
        let wire = |inner| Wire {
            inner,
            gate: gate.clone(),
            cut: Box::pin(cut.clone().cancelled_owned()),
            silent: self.silent.clone(),
        };
        let (here, there) = (wire(here), wire(there));
        self.connections.lock().push(Connection { cut, gate });
        listener.try_send(there).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(here)
    }
}

impl tower::Service<Uri> for Network {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Wire>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let network = self.clone();
        Box::pin(async move { network.connect(uri.authority().unwrap().as_str()).map(TokioIo::new) })
    }
}

/// What a server's links told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Up(String),
    Down(String),
    Draining,
    Drained,
    Request(Bytes),
    Cancel(u64),
    Closed(i64),
    Push(i64, Bytes),
    Kick(String),
    Bind(i64, Bytes),
    Save(usize),
    Unpin(i64),
    /// The frames of one batch were handed over.
    Batch,
    /// A call ended; the text says how.
    Ended(u64, String),
}

/// The modules above, as a stub: it notes what happens and answers by the route's name.
#[derive(Default)]
pub(crate) struct Stub {
    seen: Mutex<Vec<Seen>>,
    news: Notify,
    held: Mutex<Vec<(Arc<Link>, u64)>>,
    accepted: Mutex<Option<Arc<Link>>>,
}

impl Stub {
    fn note(&self, seen: Seen) {
        self.seen.lock().push(seen);
        self.news.notify_waiters();
    }

    /// What was seen so far, batches left out.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().iter().filter(|seen| **seen != Seen::Batch).cloned().collect()
    }

    pub(crate) fn batches(&self) -> usize {
        self.seen.lock().iter().filter(|seen| **seen == Seen::Batch).count()
    }

    /// Waits until `check` holds for what was seen.
    pub(crate) async fn until(&self, check: impl Fn(&[Seen]) -> bool) {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if check(&self.seen.lock()) {
                return;
            }
            news.await;
        }
    }

    pub(crate) async fn until_seen(&self, wanted: Seen) {
        self.until(|seen| seen.contains(&wanted)).await;
    }

    /// How the calls ended, in the order of their ends.
    pub(crate) fn ends(&self) -> Vec<(u64, String)> {
        let seen = self.seen.lock();
        seen.iter()
            .filter_map(|seen| if let Seen::Ended(token, how) = seen { Some((*token, how.clone())) } else { None })
            .collect()
    }

    pub(crate) async fn until_ended(&self, count: usize) {
        self.until(|seen| seen.iter().filter(|seen| matches!(seen, Seen::Ended(..))).count() >= count).await;
    }

    /// Answers the calls that were held back.
    pub(crate) fn release(&self) {
        for (link, id) in self.held.lock().drain(..) {
            link.send(proto::Response::done(id).into());
        }
    }

    /// The link that was accepted last.
    pub(crate) fn accepted(&self) -> Arc<Link> {
        self.accepted.lock().clone().unwrap()
    }
}

impl Requests for Stub {
    fn request(&self, link: &Arc<Link>, request: proto::Request, _: tokio::time::Instant) {
        let id = request.id;
        self.note(Seen::Request(request.body.clone()));
        match &*request.route {
            b"hold" => self.held.lock().push((link.clone(), id)),
            b"refuse" => link.send(proto::Response::refused(id, proto::refusal::Reason::Full).into()),
            b"push" => {
                let session = request.session.unwrap().id;
                let push = proto::Push { session, route: request.route, body: request.body };
                link.try_send(push.into()).unwrap();
                link.send(proto::Response::done(id).into());
            }
            _ => link.send(proto::Response::body(id, request.body).into()),
        }
    }

    fn cancel(&self, _: &Arc<Link>, id: u64) {
        self.note(Seen::Cancel(id));
    }

    fn closed(&self, _: &Arc<Link>, closed: proto::Closed) {
        self.note(Seen::Closed(closed.session.map_or(0, |session| session.id)));
    }

    fn batch_done(&self, _: &Arc<Link>) {
        self.note(Seen::Batch);
    }
}

impl Sessions for Stub {
    fn push(&self, _: &Arc<Link>, push: proto::Push) {
        self.note(Seen::Push(push.session, push.body));
    }

    fn kick(&self, _: &Arc<Link>, kick: proto::Kick) {
        self.note(Seen::Kick(kick.code));
    }

    fn bind(&self, link: &Arc<Link>, bind: proto::Bind) {
        self.note(Seen::Bind(bind.session, bind.uid));
        link.send(proto::Response::state(bind.id, proto::SessionState { version: 7, ..Default::default() }).into());
    }

    fn save(&self, link: &Arc<Link>, save: proto::SessionSave) {
        self.note(Seen::Save(save.changes.len()));
        link.send(proto::Response::state(save.id, proto::SessionState { conflict: true, ..Default::default() }).into());
    }

    fn pin(&self, link: &Arc<Link>, pin: proto::Pin) {
        link.send(proto::Response::done(pin.id).into());
    }

    fn unpin(&self, _: &Arc<Link>, unpin: proto::Unpin) {
        self.note(Seen::Unpin(unpin.session));
    }
}

impl LinkEvents for Stub {
    fn up(&self, link: &Arc<Link>) {
        if !link.is_opened() {
            *self.accepted.lock() = Some(link.clone());
        }
        self.note(Seen::Up(link.server().to_string()));
    }

    fn down(&self, link: &Arc<Link>) {
        self.note(Seen::Down(link.server().to_string()));
    }

    fn draining(&self, _: &Arc<Link>) {
        self.note(Seen::Draining);
    }

    fn drained(&self, _: &Arc<Link>) {
        self.note(Seen::Drained);
    }
}

impl Caller for Stub {
    fn complete(self: Arc<Self>, token: u64, outcome: Outcome) {
        let how = match outcome {
            Outcome::Answered(None) => "done".to_owned(),
            Outcome::Answered(Some(proto::response::Outcome::Body(body))) => format!("{} bytes", body.len()),
            Outcome::Answered(Some(proto::response::Outcome::Error(error))) => error.code,
            Outcome::Answered(Some(proto::response::Outcome::State(state))) => {
                format!("conflict {} version {}", state.conflict, state.version)
            }
            Outcome::Answered(Some(proto::response::Outcome::Refusal(_))) => {
                "a refusal that is no NotExecuted".to_owned()
            }
            Outcome::Answered(Some(proto::response::Outcome::Members(list))) => {
                format!("{} members", list.members.len())
            }
            Outcome::NotExecuted(request) => format!("not executed {}", String::from_utf8_lossy(&request.route)),
            Outcome::Lost => "lost".to_owned(),
        };
        self.note(Seen::Ended(token, how));
    }
}

static INCARNATIONS: AtomicU64 = AtomicU64::new(1);

/// One server of the test.
pub(crate) struct Node {
    pub(crate) links: Arc<Links>,
    pub(crate) stub: Arc<Stub>,
    pub(crate) server: Arc<Server>,
    /// Stops serving.
    pub(crate) stop: CancellationToken,
    pub(crate) serving: tokio::task::JoinHandle<()>,
}

pub(crate) fn identity(name: &str, serializer: &str) -> Arc<Identity> {
    Arc::new(Identity {
        server_id: name.into(),
        incarnation: INCARNATIONS.fetch_add(1, SeqCst),
        server_type: "room".into(),
        serializer: serializer.into(),
    })
}

/// A server `name` at `127.0.0.1:<port>` of the network.
pub(crate) fn server(name: &str, port: u16) -> Arc<Server> {
    Arc::new(Server::new(name, "room", ([127, 0, 0, 1], port)))
}

impl Node {
    pub(crate) fn start(network: &Network, name: &str, port: u16) -> Self {
        Self::start_with(network, identity(name, "json"), port, &Config::default())
    }

    pub(crate) fn start_with(network: &Network, identity: Arc<Identity>, port: u16, config: &Config) -> Self {
        Self::start_secured(network, identity, port, config, None)
    }

    #[expect(clippy::disallowed_methods, reason = "the test ends what it starts")]
    pub(crate) fn start_secured(
        network: &Network,
        identity: Arc<Identity>,
        port: u16,
        config: &Config,
        certificates: Option<Arc<Certificates>>,
    ) -> Self {
        let server = server(&identity.server_id, port);
        let links = Links::secured(identity, 0, config, certificates, network.clone());
        let stub = Arc::new(Stub::default());
        links.attach(Families {
            requests: stub.clone(),
            sessions: stub.clone(),
            links: stub.clone(),
            channels: Arc::new(Deaf),
        });
        let incoming = network.listen(&server.address.to_string());
        let stop = CancellationToken::new();
        let serving =
            tokio::spawn(serve_incoming(incoming, links.clone(), Routes::default(), stop.clone().cancelled_owned()));
        Self { links, stub, server, stop, serving }
    }

    /// A call to the route; the stub notes how it ends.
    pub(crate) fn call(&self, link: &Link, route: &'static str, body: impl Into<Bytes>, token: u64) -> Option<u64> {
        link.call(request(route, body), self.stub.clone(), token).ok()
    }
}

pub(crate) fn request(route: &'static str, body: impl Into<Bytes>) -> proto::Request {
    proto::Request {
        route: Bytes::from_static(route.as_bytes()),
        body: body.into(),
        session: Some(proto::Session {
            id: 5,
            uid: Bytes::from_static(b"u"),
            data: Bytes::from_static(b"{}"),
            version: 1,
        }),
        timeout_micros: 1_000_000,
        ..Default::default()
    }
}

/// A frontend `front` with a link to a backend `back` that is up.
pub(crate) async fn pair(network: &Network) -> (Node, Node, Arc<Link>) {
    pair_with(network, &Config::default()).await
}

pub(crate) async fn pair_with(network: &Network, config: &Config) -> (Node, Node, Arc<Link>) {
    let back = Node::start_with(network, identity("back", "json"), 1, config);
    let front = Node::start_with(network, identity("front", "json"), 2, config);
    let link = front.links.open(&back.server);
    front.stub.until_seen(Seen::Up("back".into())).await;
    back.stub.until_seen(Seen::Up("front".into())).await;
    (front, back, link)
}

/// Lets all other tasks run until they wait.
pub(crate) async fn settle() {
    for _ in 0..64 {
        let mut polled = false;
        poll_fn(|context| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}
