//! A server whose unary service listens on loopback, and a client of it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tonic::transport::server::TcpIncoming;

use crate::forward::{Incoming, IncomingParts, Pins, PitayaParts, PitayaService, RemoteLanes};
use crate::handler::{self, Registry, Runtime, Service};
use crate::lanes::{Placement, Spawner};
use crate::request::App;
use crate::rpc::proto::pitaya::pitaya_client::PitayaClient;
use crate::rpc::proto::pitaya::{self as protos, MsgType, RpcType};
use crate::rpc::{Identity, pitaya};
use crate::session::{Pool, Session};
use crate::topology::{Server, Snapshot, Topology};
use crate::wire::Error;

/// What a test waits for takes at most this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with the service `room`, and a connection to it.
pub(super) struct Host {
    pub(super) client: PitayaClient<tonic::transport::Channel>,
    pub(super) pool: Arc<Pool>,
    pub(super) lanes: Arc<RemoteLanes>,
    pub(super) gate: Arc<Gate>,
    pub(super) started: mpsc::Receiver<String>,
}

/// Lets the handler `held` go on, and says when it has begun.
pub(super) struct Gate {
    pub(super) permits: Semaphore,
    begun: Mutex<mpsc::Sender<String>>,
}

/// How a host differs from the usual one.
pub(super) struct Options {
    pub(super) frontend: bool,
    pub(super) calls: usize,
    pub(super) servers: Vec<Server>,
}

impl Default for Options {
    fn default() -> Self {
        Self { frontend: false, calls: 100, servers: Vec::new() }
    }
}

impl Host {
    pub(super) async fn start(options: Options) -> Self {
        let identity = Arc::new(Identity {
            server_id: "host-1".into(),
            incarnation: 7,
            server_type: "host".into(),
            serializer: "json".into(),
        });
        let (begun, started) = mpsc::channel(100);
        let app = App::builder("host-1", "host").state(Gate { permits: Semaphore::new(0), begun: Mutex::new(begun) });
        let app = if options.frontend { app.frontend() } else { app }.build();
        let spawner = Spawner::new(0, Handle::current());
        let lanes = Arc::new(RemoteLanes::new());
        let topology = Topology::fixed(Snapshot::new(options.servers, []));
        let pool = Arc::new(Pool::new());
        let incoming = Incoming::new(IncomingParts {
            server_type: "host".into(),
            registry: Arc::new(Registry::builder().service("room", room()).build().unwrap()),
            handlers: Arc::new(Runtime::new(handler::Config::default(), Handle::current())),
            apps: [app.on_worker()].into(),
            lanes: lanes.clone(),
            pins: Pins::new(lanes.clone()),
            spawners: [spawner.clone()].into(),
            placement: Arc::new(Placement::new(1)),
            worker: 0,
            requests_per_link: options.calls,
            hand_overs: 1,
            refused: AtomicU64::new(0),
        });
        let service = PitayaService::new(PitayaParts {
            identity,
            incoming: Arc::new(incoming),
            pool: pool.clone(),
            topology,
            certificates: None,
            versions: Arc::new(AtomicU64::new(0)),
            request_timeout: Duration::from_secs(10),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_routes(pitaya::routes(service));
        spawner.spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let client = PitayaClient::connect(format!("http://{address}")).await.unwrap();
        Self { client, pool, lanes, gate: app.get::<Gate>().unwrap(), started }
    }

    pub(super) async fn call(&self, request: protos::Request) -> protos::Response {
        let mut client = self.client.clone();
        tokio::time::timeout(PATIENCE, client.call(request)).await.expect("no answer").unwrap().into_inner()
    }

    /// The answer to a call that fails.
    pub(super) async fn failure(&self, request: protos::Request) -> protos::Error {
        let response = self.call(request).await;
        assert!(response.data.is_empty(), "{response:?}");
        response.error.expect("an answer in the place of an error")
    }

    /// A call whose answer is waited for beside what the test does.
    #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
    pub(super) fn call_beside(&self, request: protos::Request) -> tokio::task::JoinHandle<protos::Response> {
        let mut client = self.client.clone();
        tokio::spawn(async move { client.call(request).await.unwrap().into_inner() })
    }

    /// What the next run of the handler `held` was given.
    pub(super) async fn begun(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.started.recv()).await.expect("nothing has begun").unwrap()
    }
}

/// A request of the session 42 at the frontend `front-1`, bound to nobody.
pub(super) fn sys(method: &str, body: &str) -> protos::Request {
    protos::Request {
        r#type: RpcType::Sys.into(),
        session: Some(protos::Session { id: 42, ..Default::default() }),
        msg: Some(protos::Msg {
            id: 1,
            route: format!("host.room.{method}"),
            data: Bytes::copy_from_slice(body.as_bytes()),
            ..Default::default()
        }),
        frontend_id: "front-1".to_owned(),
        metadata: Bytes::from_static(br#"{"reqTimeout":"10s","own":"thing"}"#),
    }
}

/// The same request, with another session.
pub(super) fn with_session(request: protos::Request, uid: &str, data: &'static str) -> protos::Request {
    let data = Bytes::from_static(data.as_bytes());
    protos::Request { session: Some(protos::Session { id: 42, uid: uid.to_owned(), data }), ..request }
}

pub(super) fn notify(method: &str, body: &str) -> protos::Request {
    let mut request = sys(method, body);
    let message = request.msg.as_mut().unwrap();
    message.id = 0;
    message.set_type(MsgType::MsgNotify);
    request
}

/// A call from server to server.
pub(super) fn user(route: &str, argument: impl Into<Bytes>) -> protos::Request {
    protos::Request {
        r#type: RpcType::User.into(),
        msg: Some(protos::Msg { route: route.to_owned(), data: argument.into(), ..Default::default() }),
        metadata: Bytes::from_static(br#"{"reqTimeout":"5s","own":"thing"}"#),
        ..Default::default()
    }
}

fn room() -> Service {
    Service::new()
        .request("echo", async |body: Bytes| body)
        .request("fail", async || Err::<Bytes, _>(Error::new("PIT-555", "somerror").with("some", "meta")))
        .request("held", held)
        .request("bind", bind)
        .request("push", push)
        .request("set", set)
        .request("get", get)
        .request("kick", async |session: Session| -> &'static str {
            session.kick();
            "ok"
        })
        .request("own", own)
        .notify("say", async |_body: Bytes| ())
        .remote("far", async |body: Bytes| body)
        .remote("far_own", own)
}

async fn own(context: crate::request::Context) -> String {
    context.metadata("own").and_then(|value| value.as_str()).unwrap_or_default().to_owned()
}

async fn held(gate: crate::request::State<Gate>, body: Bytes) -> Bytes {
    let begun = gate.0.begun.lock().clone();
    begun.send(String::from_utf8(body.to_vec()).unwrap()).await.unwrap();
    gate.0.permits.acquire().await.unwrap().forget();
    body
}

fn text(body: &Bytes) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

async fn bind(session: Session, body: Bytes) -> Result<String, Error> {
    session.bind(text(&body)).await?;
    Ok(session.uid().map(|uid| uid.as_str().to_owned()).unwrap_or_default())
}

async fn push(session: Session, body: Bytes) -> Result<&'static str, Error> {
    for number in 0..text(&body).parse().unwrap() {
        session.push_bytes("on.push", Bytes::from(u32::to_string(&number))).await?;
    }
    Ok("done")
}

/// `key=value` is set, `key` alone is removed.
async fn set(session: Session, body: Bytes) -> Result<&'static str, Error> {
    match text(&body).split_once('=') {
        Some((key, value)) => session.set(key, value)?,
        None => session.remove(&text(&body))?,
    }
    session.save().await.map_err(|error| Error::new("SAVE", error.to_string()))?;
    Ok("ok")
}

async fn get(session: Session, body: Bytes) -> Result<String, Error> {
    Ok(session.get::<String>(&text(&body))?.unwrap_or_default())
}
