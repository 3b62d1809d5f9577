//! The edge that settings describe.

use std::{fmt, io, sync::Arc};

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{Edge, proxy, stream::EdgeStream};
use crate::{
    acceptor::{Listen, Peer, Protocol},
    agent::Refused,
    session::CloseReason,
    tls,
};

/// A PROXY header, TLS, or both.
#[derive(Clone)]
pub(crate) struct Guarded {
    /// Whose PROXY headers are believed; none: there is no header.
    proxies: Option<Arc<[IpNet]>>,
    tls: Option<TlsAcceptor>,
}

impl Guarded {
    /// What the settings of an acceptor ask for; none when that is nothing. To be called within the runtime that follows
    /// changes of the certificate.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub(crate) fn new(listen: &Listen) -> Result<Option<Self>, tls::Error> {
        let protocols: &[&[u8]] = match listen.protocol {
            Protocol::Tcp => &[],
            Protocol::WebSocket => &[b"http/1.1"],
        };
        let tls = listen.tls.as_ref().map(|tls| tls::acceptor(&tls.certificate, &tls.key, protocols)).transpose()?;
        let proxies = listen.proxy_protocol.then(|| listen.trusted_proxies.as_slice().into());
        Ok((tls.is_some() || proxies.is_some()).then_some(Self { proxies, tls }))
    }
}

impl Edge for Guarded {
    type Stream = EdgeStream;

    async fn pass(self, mut stream: TcpStream, mut peer: Peer) -> io::Result<(EdgeStream, Peer)> {
        if let Some(trusted) = &self.proxies {
            if !is_trusted(&peer, trusted) {
                return Err(proxy::refused(proxy::Error::Untrusted));
            }
            if let Some(client) = proxy::read(&mut stream).await? {
                peer = client.into();
            }
        }
        let Some(tls) = self.tls else { return Ok((EdgeStream::Plain(stream), peer)) };
        let stream = Box::pin(tls.accept(stream)).await.map_err(|error| match error.kind() {
            // What the library says; anything else the system says.
            io::ErrorKind::InvalidData => {
                Refused { reason: CloseReason::TlsHandshake, what: "TLS handshake", cause: error.into() }.into()
            }
            _ => error,
        })?;
        Ok((EdgeStream::Encrypted(Box::new(stream)), peer))
    }
}

fn is_trusted(peer: &Peer, trusted: &[IpNet]) -> bool {
    let address = peer.address.map(|address| address.ip().to_canonical());
    trusted.is_empty() || address.is_some_and(|address| trusted.iter().any(|network| network.contains(&address)))
}

impl fmt::Debug for Guarded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { proxies, tls } = self;
        formatter.debug_struct("Guarded").field("proxies", proxies).field("tls", &tls.is_some()).finish()
    }
}
