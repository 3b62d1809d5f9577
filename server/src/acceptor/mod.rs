//! Where bytes arrive: the first step of a message's path.
//!
//! An [`Acceptor`] gives sockets; the accept loop admits them within the limits, deals each to the worker with the fewest
//! connections, and the socket is opened there (registered, upgraded) under the connection's handshake deadline.
//!
//! It promises that accepting waits instead of exceeding a limit, that a system out of files slows it down but does not
//! stop it, and that an address in use is an error that names the acceptor. What the bytes mean is the agent's business.

mod accept;
mod admission;
mod back_off;
mod config;
mod deal;
mod edge;
mod tcp;
mod websocket;

#[cfg(test)]
mod tests;

use std::{future::Future, io};

#[doc(hidden)]
pub use self::edge::proxy;
pub use self::{
    config::{Config, Listen, Protocol, Tls},
    edge::{Direct, Edge},
    tcp::{TcpAcceptor, TcpSocket},
    websocket::{WebSocketAcceptor, WebSocketSocket, WebSocketTransport},
};
pub use crate::agent::{Farewell, Peer, Received, StreamTransport, Transport};

pub(crate) use self::{
    accept::run,
    admission::Admission,
    back_off::BackOff,
    deal::{Dealer, Gauge, gauge, table},
    edge::Guarded,
};

/// A source of client connections. TCP and WebSocket are built in; games may add their own.
///
/// The accept loop calls [`accept`](Self::accept) only when there is room for one more connection.
pub trait Acceptor: Send + 'static {
    /// What is accepted: owned by no runtime yet, because another thread's runtime will serve it.
    type Socket: Socket;

    /// The name in settings, logs and errors.
    fn name(&self) -> &str;

    /// Where clients connect, for people to read.
    fn address(&self) -> String;

    /// The next connection.
    ///
    /// # Errors
    /// What the system said. The loop logs it, waits a little, and calls again.
    ///
    /// # Cancel safety
    /// Dropping the future must not lose a connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Socket, Peer)>> + Send;
}

/// An accepted connection that no runtime serves yet.
pub trait Socket: Send + 'static {
    /// What carries its packets.
    type Transport: Transport;

    /// Make it ready for packets. Runs on the worker the connection was dealt to, under the handshake deadline: the place
    /// for registering with the runtime and for whatever precedes the first packet. `peer` is who the acceptor said it
    /// is; what precedes the first packet may tell better.
    ///
    /// # Errors
    /// Any error drops the connection; it is logged at debug level, for a peer can cause it at will.
    fn open(self, peer: Peer) -> impl Future<Output = io::Result<(Self::Transport, Peer)>> + Send;
}

/// An acceptor that cannot start.
#[derive(Debug, thiserror::Error)]
#[error("acceptor {name:?} cannot listen on {address}")]
pub struct Error {
    /// The acceptor's name in the settings.
    pub name: String,
    /// The address it was told to listen on.
    pub address: String,
    /// What the system said.
    #[source]
    pub source: io::Error,
}
