//! Packets over some kind of socket.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::session::CloseReason;

/// What one receive gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// So many bytes of the stream are in the buffer; packets may begin and end anywhere.
    Stream(usize),
    /// A message with memory of its own that holds whole packets only.
    Message(Bytes),
    /// The peer sends no more.
    End,
}

/// Why the server ends a connection, as far as the peer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The connection did its work.
    Normal,
    /// The server goes away; the client should connect again.
    Restart,
    /// The peer broke the protocol.
    Violation,
    /// The peer did not keep up, or the server does not want it.
    Refused,
}

/// A connected socket that carries packets. All calls come from the connection's one task; a call that is `Pending` has
/// stored that task's waker.
///
/// [`StreamTransport`](crate::agent::StreamTransport) makes one of every byte stream.
pub trait Transport: Send + Unpin + 'static {
    /// Receive once. `buffer` is shared by all connections of a worker: bytes beyond those of [`Received::Stream`] have
    /// no meaning, and nothing may be expected to be in it the next time.
    ///
    /// # Errors
    /// `InvalidData` when the peer broke the rules of the transport, `FileTooLarge` when it sent more than it may, else
    /// what the system said. Each ends the connection.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Received>>;

    /// Take some of `packets`, which are back to back and begin with a packet or, where the transport took less than a
    /// whole one before, with the rest of one. Returns how many bytes were taken; at least one.
    fn poll_send(&mut self, cx: &mut Context<'_>, packets: &[u8]) -> Poll<io::Result<usize>>;

    /// Write out what the transport itself holds back.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tell the peer that no more will come, after all that was sent. Receiving stays possible.
    fn poll_farewell(&mut self, cx: &mut Context<'_>, farewell: Farewell) -> Poll<io::Result<()>>;

    /// The largest packet that will be accepted from now on. Only a transport that collects whole messages needs it, so
    /// that it refuses the larger ones before they are in memory.
    fn limit_packet(&mut self, _bytes: usize) {}
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// The client's address. None where there is none, as on a Unix socket.
    pub address: Option<SocketAddr>,
}

impl Peer {
    /// The value of `ipversion` in the session's data: a mapped IPv4 address counts as IPv4.
    pub(crate) fn ip_version(&self) -> Option<&'static str> {
        match self.address?.ip() {
            IpAddr::V4(_) => Some("ipv4"),
            IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => Some("ipv4"),
            IpAddr::V6(_) => Some("ipv6"),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self { address: Some(address) }
    }
}

/// A connection that was refused before it carried packets, as the [`io::Error`] that opening it gives.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub(crate) struct Refused {
    /// What it is counted as.
    pub(crate) reason: CloseReason,
    /// What was wrong with.
    pub(crate) what: &'static str,
    /// What was wrong.
    pub(crate) cause: Box<dyn std::error::Error + Send + Sync>,
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        Self::other(refused)
    }
}

/// What an error of a transport means for the connection.
pub(super) fn lost(error: &io::Error) -> CloseReason {
    if let Some(refused) = error.get_ref().and_then(|inner| inner.downcast_ref::<Refused>()) {
        return refused.reason;
    }
    match error.kind() {
        io::ErrorKind::InvalidData => CloseReason::MalformedPacket,
        io::ErrorKind::FileTooLarge => CloseReason::TooLarge,
        _ => CloseReason::ConnectionLost,
    }
}
