//! A server that speaks `protos.Pitaya` over loopback, for tests of both sides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::rpc::proto::pitaya as protos;
use crate::rpc::proto::pitaya::pitaya_server::Pitaya;
use crate::topology::Server;

/// What a fake server was asked.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A call, and the timeout that gRPC itself carries.
    Call(protos::Request, Option<String>),
    Push(protos::Push),
    Bind,
    Kick,
}

/// How a fake server answers calls.
pub(crate) type Answer = dyn Fn(protos::Request) -> BoxFuture<'static, Result<protos::Response, Status>> + Send + Sync;

/// A running fake server. It has a thread of its own, so that it can die at once.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) seen: mpsc::Receiver<Seen>,
    life: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// A server that answers calls with what `answer` gives.
    pub(crate) fn start<F>(answer: impl Fn(protos::Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<protos::Response, Status>> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer)
    }

    /// As `start`, at an address that is known.
    pub(crate) fn start_at<F>(
        address: SocketAddr,
        answer: impl Fn(protos::Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<protos::Response, Status>> + Send + 'static,
    {
        let (sender, seen) = mpsc::channel(1000);
        let service = Service { seen: sender, answer: Arc::new(move |request| Box::pin(answer(request))) };
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (life, end) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
                let server = tonic::transport::Server::builder().add_routes(super::routes(service));
                tokio::select! {
                    result = server.serve_with_incoming(incoming) => result.unwrap(),
                    _ = end => {}
                }
            });
        });
        Self { address, seen, life: Some(life), thread: Some(thread) }
    }

    /// How the topology shows it.
    pub(crate) fn server(&self, id: &str, server_type: &str) -> Server {
        Server::new(id, server_type, self.address)
    }

    /// The next call it gets.
    pub(crate) async fn call(&mut self) -> protos::Request {
        match self.seen.recv().await.unwrap() {
            Seen::Call(request, _) => request,
            other => panic!("{other:?} in the place of a call"),
        }
    }

    /// Dies: its connections are lost, and its address is free.
    pub(crate) fn die(&mut self) {
        self.life.take();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The routes of a server that answers each call with its own route.
pub(crate) fn echo_routes() -> tonic::service::Routes {
    let answer = |request: protos::Request| async move { data(request.msg.unwrap_or_default().route) };
    let service = Service { seen: mpsc::channel(1).0, answer: Arc::new(move |request| Box::pin(answer(request))) };
    super::routes(service)
}

/// An answer without an error.
#[expect(clippy::unnecessary_wraps, reason = "what handlers of calls give")]
pub(crate) fn data(data: impl Into<Bytes>) -> Result<protos::Response, Status> {
    Ok(protos::Response { data: data.into(), error: None })
}

struct Service {
    seen: mpsc::Sender<Seen>,
    answer: Arc<Answer>,
}

impl Service {
    /// The test may look at none of it.
    async fn note(&self, seen: Seen) {
        let _ = self.seen.send(seen).await;
    }
}

#[tonic::async_trait]
impl Pitaya for Service {
    async fn call(&self, request: Request<protos::Request>) -> Result<Response<protos::Response>, Status> {
        let timeout = request.metadata().get("grpc-timeout").map(|timeout| timeout.to_str().unwrap().to_owned());
        let request = request.into_inner();
        self.note(Seen::Call(request.clone(), timeout)).await;
        (self.answer)(request).await.map(Response::new)
    }

    async fn push_to_user(&self, request: Request<protos::Push>) -> Result<Response<protos::Response>, Status> {
        self.note(Seen::Push(request.into_inner())).await;
        data("ack").map(Response::new)
    }

    async fn session_bind_remote(&self, _: Request<protos::BindMsg>) -> Result<Response<protos::Response>, Status> {
        self.note(Seen::Bind).await;
        data("ack").map(Response::new)
    }

    async fn kick_user(&self, _: Request<protos::KickMsg>) -> Result<Response<protos::KickAnswer>, Status> {
        self.note(Seen::Kick).await;
        Ok(Response::new(protos::KickAnswer { kicked: true }))
    }
}
