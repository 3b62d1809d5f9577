//! What can go wrong with links.

use std::{io, net::SocketAddr};

/// Why a link cannot be made, or was lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// The listener would be reachable from other machines.
    #[error(
        "link address {0} is not on loopback: links are neither encrypted nor authenticated, set `link.certificates`, or `link.insecure: true` to accept that"
    )]
    Exposed(SocketAddr),
    /// The listener could not be bound.
    #[error("cannot listen for links on {address}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The peer's address could not be reached.
    #[error("cannot connect")]
    Unreachable(#[source] io::Error),
    /// The two did not agree on an encrypted connection, or one does not believe the other's certificate.
    #[error("no encrypted connection")]
    Handshake(#[source] io::Error),
    /// The peer's certificate is for somebody else.
    #[error("the peer's certificate is for {found}, expected is {expected}")]
    WrongName {
        /// Who it should be for.
        expected: String,
        /// Who it is for.
        found: String,
    },
    /// The peer could not be reached.
    #[error("cannot connect")]
    Connect(#[source] tonic::transport::Error),
    /// The peer could not be reached in time, or did not greet.
    #[error("no connection and greeting within the time for it")]
    Timeout,
    /// The stream ended with a status.
    #[error("the link was lost")]
    Stream(#[source] Box<tonic::Status>),
    /// The peer closed the stream.
    #[error("the peer closed the link")]
    Ended,
    /// The first frame was no greeting.
    #[error("the peer did not say who it is")]
    NoHello,
    /// The peer is not the server that the topology promised.
    #[error("reached server {reached} in the place of {promised}")]
    WrongServer {
        /// Whom the topology promised.
        promised: String,
        /// Who answered.
        reached: String,
    },
    /// No version of the protocol is common.
    #[error("the peer speaks versions {min} to {max} of the link protocol")]
    Protocol {
        /// The peer's oldest.
        min: u32,
        /// The peer's newest.
        max: u32,
    },
    /// The peer's payloads cannot be read.
    #[error("the peer uses serializer {theirs:?}, this server {ours:?}")]
    Serializer {
        /// The peer's.
        theirs: String,
        /// This server's.
        ours: String,
    },
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Stream(Box::new(status))
    }
}
