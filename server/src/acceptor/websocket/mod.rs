//! Packets in WebSocket messages.
//!
//! The library upgrades the connection, reads and unmasks messages, and answers pings and closes. What the server sends is
//! framed here, straight into one buffer with the library's control frames, so that all that is queued leaves in one write
//! and a connection that was sent something large does not keep the memory.

mod channel;
mod transport;

use std::{
    io,
    net::{SocketAddr, TcpStream},
};

use super::{Acceptor, Direct, Edge, Error, Peer, Socket, tcp::Listening};

pub use self::transport::WebSocketTransport;

/// Accepts TCP connections and upgrades them to WebSocket.
#[derive(Debug)]
pub struct WebSocketAcceptor<E = Direct> {
    listening: Listening,
    edge: E,
    max_packet: usize,
}

impl WebSocketAcceptor {
    /// Listen on `address`; with port 0 the system picks one, see [`local_address`](Self::local_address). `max_packet` is
    /// the largest packet body that will be accepted from a client that completed its handshake.
    ///
    /// # Errors
    /// When the address is in use, not this machine's, or not allowed; the error names acceptor and address.
    pub fn bind(name: &str, address: SocketAddr, max_packet: usize) -> Result<Self, Error> {
        Ok(Self { listening: Listening::bind(name, address)?, edge: Direct, max_packet })
    }

    /// The same with something before the upgrade.
    pub fn behind<E: Edge>(self, edge: E) -> WebSocketAcceptor<E> {
        WebSocketAcceptor { listening: self.listening, edge, max_packet: self.max_packet }
    }
}

impl<E> WebSocketAcceptor<E> {
    /// The address that clients connect to.
    pub fn local_address(&self) -> SocketAddr {
        self.listening.address()
    }
}

impl<E: Edge> Acceptor for WebSocketAcceptor<E> {
    type Socket = WebSocketSocket<E>;

    fn name(&self) -> &str {
        self.listening.name()
    }

    fn address(&self) -> String {
        format!("ws://{}", self.listening.address())
    }

    async fn accept(&mut self) -> io::Result<(Self::Socket, Peer)> {
        let (stream, peer) = self.listening.accept().await?;
        Ok((WebSocketSocket { stream, edge: self.edge.clone(), max_packet: self.max_packet }, peer))
    }
}

/// An accepted connection, before its upgrade.
#[derive(Debug)]
pub struct WebSocketSocket<E = Direct> {
    stream: TcpStream,
    edge: E,
    max_packet: usize,
}

impl<E: Edge> Socket for WebSocketSocket<E> {
    type Transport = WebSocketTransport<E::Stream>;

    async fn open(self, peer: Peer) -> io::Result<(Self::Transport, Peer)> {
        let (stream, peer) = self.edge.pass(tokio::net::TcpStream::from_std(self.stream)?, peer).await?;
        Ok((WebSocketTransport::accept(stream, self.max_packet).await?, peer))
    }
}
