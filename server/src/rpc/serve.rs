//! The accepting end of links.

use std::{
    convert::Infallible,
    fmt, io,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use cereus_crds::contract;
use futures_core::Stream;
use futures_util::{StreamExt, future::BoxFuture, stream};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status, Streaming,
    body::Body,
    codegen::{Service, http},
    server::{Grpc, NamedService, StreamingService},
    service::Routes,
    transport::Server,
};

use super::{
    Config, Error, Families, Link, Links,
    codec::{LinkCodec, Outgoing, SERVICE, Turn},
    config::{
        CLOSE_TIMEOUT, CONNECT_TIMEOUT, CONNECTION_WINDOW, HANDSHAKES, MAX_BATCH, PING_INTERVAL, PING_TIMEOUT,
        REFUSALS, STREAM_WINDOW,
    },
    connector::tune,
    greeted::Greeted,
    hello,
    link::Common,
    links::Shared,
    metrics::Loss,
    proto,
    reader::{deliver, read},
    secure::{Certified, Secured},
};

/// Binds the listener of links.
///
/// # Errors
/// When the address is not on loopback, with neither certificates nor `insecure`, or cannot be bound; the error names it.
pub(crate) fn bind(config: &Config) -> Result<TcpListener, Error> {
    let address = config.listen;
    if config.certificates.is_none() && !config.insecure && !address.ip().to_canonical().is_loopback() {
        return Err(Error::Exposed(address));
    }
    let listener = contract::bind(address, TcpListener::bind).map_err(|source| Error::Bind { address, source })?;
    listener.set_nonblocking(true).map_err(|source| Error::Bind { address, source })?;
    Ok(listener)
}

/// Serves links, and `others` beside them, on the connections that are dealt to this worker, until `shutdown`: then all
/// links are closed, and it returns when they have ended. Nothing else ends it, not even the end of `sockets`.
pub(crate) async fn serve(
    sockets: mpsc::Receiver<std::net::TcpStream>,
    links: Arc<Links>,
    others: Routes,
    shutdown: impl Future<Output = ()>,
) {
    let incoming = stream::unfold(sockets, async |mut sockets| {
        loop {
            let socket = sockets.recv().await?;
            match adopt(socket) {
                Ok(stream) => return Some((Ok::<_, io::Error>(stream), sockets)),
                Err(error) => tracing::warn!(%error, "connection for links lost at once"),
            }
        }
    });
    serve_incoming(incoming, links, others, shutdown).await;
}

fn adopt(socket: std::net::TcpStream) -> io::Result<TcpStream> {
    socket.set_nonblocking(true)?;
    let stream = TcpStream::from_std(socket)?;
    tune(&stream)?;
    Ok(stream)
}

/// As `serve`, over connections of any kind.
pub(crate) async fn serve_incoming<T>(
    incoming: impl Stream<Item = io::Result<T>>,
    links: Arc<Links>,
    others: Routes,
    shutdown: impl Future<Output = ()>,
) where
    T: AsyncRead + AsyncWrite + Far + Unpin + Send + 'static,
{
    let stopping = CancellationToken::new();
    let routes = others.add_service(Exchange(links.shared().clone()));
    // Each is encrypted beside the others. That no more connections come is no reason to end: who waits for them to end
    // would then not be told to close them.
    let refusals = Refusals::default();
    let secured = incoming.map(|accepted| secure(&links.shared().common, &refusals, accepted));
    let secured = secured.buffer_unordered(HANDSHAKES).filter_map(std::future::ready);
    let incoming =
        secured.map(|accepted| accepted.map(|io| Greeted::new(io, stopping.clone()))).chain(stream::pending());
    let server = Server::builder()
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, async {
            shutdown.await;
            links.close();
            stopping.cancel();
        });
    let over = async {
        stopping.cancelled().await;
        tokio::join!(links.closed(), sleep(CLOSE_TIMEOUT));
    };
    tokio::select! {
        biased;
        result = server => if let Err(error) = result {
            tracing::error!(error = &error as &dyn std::error::Error, "links are served no more");
        },
        // Whoever does not close its connection although it has no link on it does not hold up the end for longer.
        () = over => {}
    }
}

/// An accepted connection that may say where its other end is.
pub(crate) trait Far {
    /// The address of the peer, for the log.
    fn far(&self) -> Option<SocketAddr>;
}

impl Far for TcpStream {
    fn far(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }
}

/// Encrypts an accepted connection if there are certificates; none when the peer is refused.
async fn secure<T>(common: &Common, refusals: &Refusals, accepted: io::Result<T>) -> Option<io::Result<Secured<T>>>
where
    T: AsyncRead + AsyncWrite + Far + Unpin,
{
    let io = match (accepted, &common.certificates) {
        (Ok(io), Some(certificates)) => {
            let peer = io.far();
            match timeout(CONNECT_TIMEOUT, certificates.accept(io)).await.unwrap_or(Err(Error::Timeout)) {
                Ok((io, name)) => Secured::Encrypted(Box::new(io), Certified(Some(name.server_type.into()))),
                Err(error) => {
                    refusals.note(common, peer, &error);
                    return None;
                }
            }
        }
        (accepted, _) => return Some(accepted.map(Secured::Plain)),
    };
    Some(Ok(io))
}

/// Says once in a while who was refused: anybody can connect.
#[derive(Default)]
struct Refusals {
    logged: Mutex<Option<Instant>>,
}

impl Refusals {
    fn note(&self, common: &Common, peer: Option<SocketAddr>, error: &Error) {
        let loss = Loss::from(error);
        common.counts.lost(loss);
        let now = Instant::now();
        let mut logged = self.logged.lock();
        if logged.is_none_or(|last| now.duration_since(last) >= REFUSALS) {
            *logged = Some(now);
            drop(logged);
            let (reason, error) = (loss.as_str(), error as &dyn std::error::Error);
            tracing::warn!(?peer, reason, error, "a peer is refused");
        }
    }
}

/// The service `cereus.link.v1.Link`.
#[derive(Clone)]
struct Exchange(Arc<Shared>);

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Exchange")
    }
}

impl NamedService for Exchange {
    const NAME: &'static str = SERVICE;
}

impl Service<http::Request<Body>> for Exchange {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let exchange = self.clone();
        Box::pin(async move {
            let mut grpc =
                Grpc::new(LinkCodec).max_decoding_message_size(MAX_BATCH).max_encoding_message_size(usize::MAX);
            Ok(grpc.streaming(exchange, request).await)
        })
    }
}

impl StreamingService<proto::Batch> for Exchange {
    type Response = Turn;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Turn, Status>> + Send>>;
    type Future = BoxFuture<'static, Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<proto::Batch>>) -> Self::Future {
        let shared = self.0.clone();
        let certified = request.extensions().get::<Certified>().cloned().unwrap_or_default();
        Box::pin(async move {
            let outgoing = accept(&shared, certified, request.into_inner()).await.map_err(|error| {
                let loss = Loss::from(&error);
                shared.common.counts.lost(loss);
                tracing::warn!(reason = loss.as_str(), error = &error as &dyn std::error::Error, "link refused");
                Status::failed_precondition(error.to_string())
            })?;
            Ok(tonic::Response::new(outgoing.map(Ok).boxed()))
        })
    }
}

/// Waits for the greeting, then lets the link live in a task of its own.
async fn accept(
    shared: &Arc<Shared>,
    certified: Certified,
    mut stream: Streaming<proto::Batch>,
) -> Result<Outgoing, Error> {
    let families = shared.families.get().ok_or(Error::Ended)?.clone();
    let first = timeout(CONNECT_TIMEOUT, stream.message()).await.map_err(|_| Error::Timeout)??.ok_or(Error::Ended)?;
    let (hello, rest) = hello::split(first)?;
    let common = &shared.common;
    hello::check_name(&hello, certified.0.as_deref())?;
    let peer = hello::check(&hello, &common.identity, None)?;
    let link = Link::from(peer.server_id.clone(), common.clone());
    let epoch = {
        // Under the lock of the list, so that a drain or close either is seen here or finds the link.
        let mut accepted = shared.accepted.lock();
        if shared.closed.load(Relaxed) {
            return Err(Error::Ended);
        }
        accepted.push(link.clone());
        link.outbound().lock().begin(hello::greeting(&common.identity, common.draining.load(Relaxed)))
    };
    link.open(peer, hello::version(&hello));
    common.tasks.spawn(live(shared.clone(), families, link.clone(), stream, rest));
    Ok(Outgoing { link, epoch })
}

/// An accepted link's task.
async fn live(
    shared: Arc<Shared>,
    families: Families,
    link: Arc<Link>,
    mut stream: Streaming<proto::Batch>,
    rest: Vec<proto::Frame>,
) {
    families.up(&link);
    deliver(&link, &families, rest);
    let error = read(&link, &mut stream, &families).await;
    link.lose();
    shared.accepted.lock().retain(|other| !Arc::ptr_eq(other, &link));
    families.down(&link);
    let loss = Loss::from(&error);
    if !link.stopped().is_cancelled() {
        shared.common.counts.lost(loss);
        tracing::info!(server = %link.server(), reason = loss.as_str(), error = &error as &dyn std::error::Error, "accepted link ended");
    }
}
