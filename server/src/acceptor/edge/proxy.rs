//! PROXY headers, versions 1 and 2: where the client of a load balancer is.
//!
//! A header is read from the socket to its last byte and not further, so that what follows it is found there as if there
//! had been none. Public for the fuzzer only.

use std::{io, net::SocketAddr};

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

use crate::{agent::Refused, session::CloseReason};

/// The longest header. Version 2 could be 64 KiB, of which the most are additions that nobody here reads.
pub const LONGEST: usize = 4 << 10;

/// The longest header of version 1.
const LONGEST_LINE: usize = 107;

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What comes is something else.
    #[error("what comes first is none, of neither version")]
    Invalid,
    /// It goes on and on.
    #[error("it is longer than {LONGEST} bytes, or {LONGEST_LINE} in version 1")]
    TooLong,
    /// Whoever sends it is not believed.
    #[error("the sender is not among the trusted proxies")]
    Untrusted,
}

/// How far a header has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// All that there is belongs to it, and more has to come.
    Beginning,
    /// It is whole.
    Header {
        /// How long it is.
        length: usize,
        /// The client; none when the load balancer speaks for itself, as in a health check.
        client: Option<SocketAddr>,
    },
}

/// Look for a header at the beginning of what has come.
///
/// # Errors
/// When that is the beginning of no header.
pub fn find(bytes: &[u8]) -> Result<Found, Error> {
    let config = ParseConfig { include_tlvs: false, allow_v1: true, allow_v2: true };
    let found = match ProxyHeader::parse(bytes, config) {
        Ok((header, length)) => Found::Header { length, client: header.proxied_address().map(|it| it.source) },
        Err(proxy_header::Error::BufferTooShort) => Found::Beginning,
        Err(_) => return Err(Error::Invalid),
    };
    let longest = if bytes.starts_with(b"P") { LONGEST_LINE } else { LONGEST };
    match found {
        Found::Header { length, .. } if length > longest => Err(Error::TooLong),
        Found::Beginning if bytes.len() >= longest => Err(Error::TooLong),
        found => Ok(found),
    }
}

/// Read a header, and nothing that follows it: the client.
pub(super) async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut bytes = vec![0; LONGEST];
    let mut read = 0;
    loop {
        // Looked at and left where it is: what belongs to the header is known only afterwards.
        let seen = read + stream.peek(bytes.get_mut(read..).unwrap_or_default()).await?;
        if seen == read {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let found = find(bytes.get(..seen).unwrap_or_default()).map_err(refused)?;
        let length = if let Found::Header { length, .. } = found { length } else { seen };
        stream.read_exact(bytes.get_mut(read..length).unwrap_or_default()).await?;
        read = length;
        if let Found::Header { client, .. } = found {
            return Ok(client);
        }
    }
}

/// The end of a connection without a header.
pub(super) fn refused(error: Error) -> io::Error {
    Refused { reason: CloseReason::ProxyHeader, what: "PROXY header", cause: error.into() }.into()
}
