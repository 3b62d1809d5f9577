//! What stands between a TCP connection and its packets: a PROXY header, then TLS.
//!
//! A connection that nothing stands before pays nothing for it: what an acceptor does is part of its type.

mod guarded;
pub mod proxy;
mod stream;

use std::{future::Future, io};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

pub(crate) use self::guarded::Guarded;
use super::Peer;

/// What a connection has to pass before its first packet.
pub trait Edge: Clone + Send + Sync + 'static {
    /// What then carries packets.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Let a connection pass; what is given says who is at the other end. Runs under the deadline of the handshake.
    ///
    /// # Errors
    /// When it may not pass, or is lost.
    fn pass(self, stream: TcpStream, peer: Peer) -> impl Future<Output = io::Result<(Self::Stream, Peer)>> + Send;
}

/// Nothing: packets begin with the first byte.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Edge for Direct {
    type Stream = TcpStream;

    async fn pass(self, stream: TcpStream, peer: Peer) -> io::Result<(TcpStream, Peer)> {
        Ok((stream, peer))
    }
}
