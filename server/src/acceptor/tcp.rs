//! Packets back to back on a TCP stream.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
};

use cereus_crds::contract;
use rustix::net::SocketFlags;
use socket2::{Domain, Socket as RawSocket, Type};
use tokio::io::{Interest, unix::AsyncFd};

use super::{Acceptor, Direct, Edge, Error, Peer, Socket, StreamTransport};

/// Connections that the system completes before they are accepted; the system may cap it lower.
const BACKLOG: i32 = 4096;

/// A bound TCP port. The listener is registered with the runtime that first accepts from it, the accepted streams with
/// none.
#[derive(Debug)]
pub(super) struct Listening {
    name: String,
    address: SocketAddr,
    listener: Listener,
}

#[derive(Debug)]
enum Listener {
    Bound(Option<TcpListener>),
    Registered(AsyncFd<TcpListener>),
}

impl Listening {
    pub(super) fn bind(name: &str, address: SocketAddr) -> Result<Self, Error> {
        let bound = contract::bind(address, bind).and_then(|listener| Ok((listener.local_addr()?, listener)));
        let (address, listener) =
            bound.map_err(|source| Error { name: name.to_owned(), address: address.to_string(), source })?;
        Ok(Self { name: name.to_owned(), address, listener: Listener::Bound(Some(listener)) })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next stream: not blocking, without delay, and registered nowhere.
    pub(super) async fn accept(&mut self) -> io::Result<(TcpStream, Peer)> {
        if let Listener::Bound(listener) = &mut self.listener {
            let listener = listener.take().ok_or(io::ErrorKind::NotConnected)?;
            self.listener = Listener::Registered(register(listener)?);
        }
        let Listener::Registered(listener) = &self.listener else { return Err(io::ErrorKind::NotConnected.into()) };
        let (stream, address) = listener.async_io(Interest::READABLE, accept).await?;
        Ok((stream, address.into()))
    }
}

/// One connection, which does not block and, as its listener, does not delay: a single call to the system.
fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (socket, address) = rustix::net::acceptfrom_with(listener, flags)?;
    // A client that is gone already has no address; that concerns no other.
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    Ok((socket.into(), address.ok_or(io::ErrorKind::ConnectionAborted)?))
}

#[allow(deprecated, reason = "the new form is unsafe to call, for types that may change their descriptor; this cannot")]
fn register(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    AsyncFd::with_interest(listener, Interest::READABLE)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts TCP connections.
#[derive(Debug)]
pub struct TcpAcceptor<E = Direct> {
    listening: Listening,
    edge: E,
}

impl TcpAcceptor {
    /// Listen on `address`; with port 0 the system picks one, see [`local_address`](Self::local_address).
    ///
    /// # Errors
    /// When the address is in use, not this machine's, or not allowed; the error names acceptor and address.
    pub fn bind(name: &str, address: SocketAddr) -> Result<Self, Error> {
        Ok(Self { listening: Listening::bind(name, address)?, edge: Direct })
    }

    /// The same with something before the packets.
    pub fn behind<E: Edge>(self, edge: E) -> TcpAcceptor<E> {
        TcpAcceptor { listening: self.listening, edge }
    }
}

impl<E> TcpAcceptor<E> {
    /// The address that clients connect to.
    pub fn local_address(&self) -> SocketAddr {
        self.listening.address()
    }
}

impl<E: Edge> Acceptor for TcpAcceptor<E> {
    type Socket = TcpSocket<E>;

    fn name(&self) -> &str {
        self.listening.name()
    }

    fn address(&self) -> String {
        self.listening.address().to_string()
    }

    async fn accept(&mut self) -> io::Result<(Self::Socket, Peer)> {
        let (stream, peer) = self.listening.accept().await?;
        Ok((TcpSocket { stream, edge: self.edge.clone() }, peer))
    }
}

/// An accepted TCP connection.
#[derive(Debug)]
pub struct TcpSocket<E = Direct> {
    stream: TcpStream,
    edge: E,
}

impl<E: Edge> Socket for TcpSocket<E> {
    type Transport = StreamTransport<E::Stream>;

    async fn open(self, peer: Peer) -> io::Result<(Self::Transport, Peer)> {
        let (stream, peer) = self.edge.pass(tokio::net::TcpStream::from_std(self.stream)?, peer).await?;
        Ok((StreamTransport::new(stream), peer))
    }
}
