//! A backend that knows nothing of this framework but `protos.Pitaya/Call`.

use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    task::{Context, Poll},
    thread::JoinHandle,
};

use anyhow::Context as _;
use futures_util::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::oneshot};
use tonic::{
    Status,
    body::Body,
    codegen::{Service, http},
    server::{Grpc, NamedService, UnaryService},
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

use super::{Call, Response};

/// Answers one call.
pub type Answer = dyn Fn(Call) -> BoxFuture<'static, Response> + Send + Sync;

/// A running backend, on a thread of its own so that it can die at once.
pub struct Backend {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    life: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Backend {
    /// Start a backend that answers with what `answer` gives.
    pub fn start<F>(answer: impl Fn(Call) -> F + Send + Sync + 'static) -> anyhow::Result<Backend>
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let service = Unary { calls: calls.clone(), answer: Arc::new(move |call| answer(call).boxed()) };
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (life, end) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                let server = Server::builder().add_service(service);
                tokio::select! {
                    _ = server.serve_with_incoming(TcpIncoming::from(listener)) => {}
                    _ = end => {}
                }
            });
        });
        Ok(Backend { address, calls, life: Some(life), thread: Some(thread) })
    }

    /// Show it in the folder through which servers find each other, as the server `id` of a type whose ServerType says
    /// `protocol: pitaya`.
    pub fn show(&self, directory: &Path, server_type: &str, id: &str) -> anyhow::Result<()> {
        let kind = format!(
            "apiVersion: cereus.dev/v1alpha1\nkind: ServerType\nmetadata: {{ name: {server_type} }}\n\
             spec: {{ image: example/other, protocol: pitaya }}\n"
        );
        std::fs::write(directory.join(format!("servertype-{server_type}.yaml")), kind)?;
        let (address, port) = (self.address.ip(), self.address.port());
        let slice = format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {server_type}-{id}\n  \
             labels: {{ cereus.dev/server-type: {server_type} }}\naddressType: IPv4\n\
             ports: [{{ name: link, port: {port}, protocol: TCP }}]\nendpoints:\n- addresses: [{address}]\n  \
             conditions: {{ ready: true, serving: true, terminating: false }}\n  \
             targetRef: {{ kind: Pod, name: {id}, uid: {id} }}\n"
        );
        // It appears at once: nobody reads half of it.
        let draft = directory.join(format!(".{id}.draft"));
        std::fs::write(&draft, slice)?;
        std::fs::rename(draft, directory.join(format!("endpointslice-{id}.yaml"))).context("the slice is not shown")
    }

    /// The calls that it has got so far, in their order.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().clone()
    }

    /// Those of them whose route ends with `method`.
    pub fn calls_of(&self, method: &str) -> Vec<Call> {
        self.calls.lock().iter().filter(|call| call.method() == method).cloned().collect()
    }

    /// Die: all connections are lost.
    pub fn die(&mut self) {
        self.life.take();
        if let Some(thread) = self.thread.take() {
            // What went wrong on it does not matter any more.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Backend").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The service, by hand.
#[derive(Clone)]
struct Unary {
    calls: Arc<Mutex<Vec<Call>>>,
    answer: Arc<Answer>,
}

impl NamedService for Unary {
    const NAME: &'static str = "protos.Pitaya";
}

impl Service<http::Request<Body>> for Unary {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        async move {
            if request.uri().path() != "/protos.Pitaya/Call" {
                return Ok(Status::unimplemented("only Call is").into_http());
            }
            Ok(Grpc::new(ProstCodec::default()).unary(service, request).await)
        }
        .boxed()
    }
}

impl UnaryService<Call> for Unary {
    type Response = Response;
    type Future = BoxFuture<'static, Result<tonic::Response<Response>, Status>>;

    fn call(&mut self, request: tonic::Request<Call>) -> Self::Future {
        let call = request.into_inner();
        self.calls.lock().push(call.clone());
        let answer = (self.answer)(call);
        async move { Ok(tonic::Response::new(answer.await)) }.boxed()
    }
}
