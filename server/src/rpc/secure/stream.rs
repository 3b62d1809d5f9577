//! Accepted connections, encrypted or not.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

/// The type that the certificate of a peer is for; none when connections are not encrypted.
#[derive(Debug, Clone, Default)]
pub(in crate::rpc) struct Certified(pub(in crate::rpc) Option<Arc<str>>);

/// An accepted connection.
#[derive(Debug)]
pub(in crate::rpc) enum Secured<T> {
    /// As it came.
    Plain(T),
    /// Encrypted, with whom.
    Encrypted(Box<TlsStream<T>>, Certified),
}

impl<T> Connected for Secured<T> {
    type ConnectInfo = Certified;

    fn connect_info(&self) -> Certified {
        match self {
            Self::Plain(_) => Certified(None),
            Self::Encrypted(_, certified) => certified.clone(),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(context, buf),
            Self::Encrypted(io, _) => Pin::new(io).poll_read(context, buf),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(context, buf),
            Self::Encrypted(io, _) => Pin::new(io).poll_write(context, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(context, bufs),
            Self::Encrypted(io, _) => Pin::new(io).poll_write_vectored(context, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Encrypted(io, _) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(context),
            Self::Encrypted(io, _) => Pin::new(io).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(context),
            Self::Encrypted(io, _) => Pin::new(io).poll_shutdown(context),
        }
    }
}
