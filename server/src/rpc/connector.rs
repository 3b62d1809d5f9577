//! How connections to peers are made.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tower::{Service, ServiceExt, util::BoxCloneService};

use super::{Error, config::USER_TIMEOUT, secure::Certificates};

/// A connection to a peer.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// What tonic gets, whatever the connection is.
pub(super) type Connection = TokioIo<BoxedIo>;
/// Makes connections, whatever they are.
pub(super) type BoxedConnector = BoxCloneService<Uri, Connection, io::Error>;

/// A connection whose type is forgotten.
pub(super) struct BoxedIo(Box<dyn Io>);

impl BoxedIo {
    pub(super) fn new(io: impl Io) -> Self {
        Self(Box::new(io))
    }
}

impl AsyncRead for BoxedIo {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, buf)
    }
}

impl AsyncWrite for BoxedIo {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(context, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}

/// Makes connections to peers; shared by all links of a worker.
pub(super) struct Connector(Mutex<BoxedConnector>);

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector of one's own, such as a simulator's.
    pub(super) fn new<C, T>(connector: C) -> Self
    where
        C: Service<Uri, Response = TokioIo<T>, Error = io::Error> + Clone + Send + 'static,
        C::Future: Send,
        T: Io,
    {
        let connector = connector.map_response(|io| TokioIo::new(BoxedIo::new(io.into_inner())));
        Self(Mutex::new(BoxCloneService::new(connector)))
    }

    pub(super) fn get(&self) -> BoxedConnector {
        self.0.lock().clone()
    }
}

/// A connection to a server of the type `server_type`, encrypted when there are certificates.
pub(super) async fn dial(
    connector: BoxedConnector,
    address: SocketAddr,
    certificates: Option<&Certificates>,
    server_type: &str,
) -> Result<BoxedIo, Error> {
    let uri = Uri::try_from(format!("http://{address}"));
    let uri = uri.map_err(|error| Error::Unreachable(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let io = connector.oneshot(uri).await.map_err(Error::Unreachable)?.into_inner();
    match certificates {
        None => Ok(io),
        Some(certificates) => Ok(BoxedIo::new(certificates.connect(io, server_type).await?)),
    }
}

/// What tonic gets when the connection is there already: it is given away once, as a channel that connects anew would hide
/// the loss of the first.
pub(super) fn connected<T: Io>(
    io: T,
) -> impl Service<Uri, Response = TokioIo<T>, Error = io::Error, Future: Send> + Send + 'static {
    let mut io = Some(io);
    tower::service_fn(move |_: Uri| {
        std::future::ready(io.take().map(TokioIo::new).ok_or(io::ErrorKind::NotConnected.into()))
    })
}

/// TCP, as links want it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tcp;

impl Service<Uri> for Tcp {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
            let stream = TcpStream::connect(authority).await?;
            tune(&stream)?;
            Ok(TokioIo::new(stream))
        })
    }
}

/// Socket options of both ends of a link.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}
