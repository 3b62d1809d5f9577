//! Where a frontend listens.

use std::{fmt, net::SocketAddr};

use anyhow::{Context as _, bail};

/// How the packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Packets back to back on a TCP stream.
    Tcp,
    /// One binary WebSocket message for each packet.
    WebSocket,
}

impl fmt::Display for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Transport::Tcp => "TCP",
            Transport::WebSocket => "WebSocket",
        })
    }
}

/// A frontend's listener: its name as typed, the addresses behind the name, and how to speak to it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    name: String,
    addresses: Vec<SocketAddr>,
    transport: Transport,
}

impl Endpoint {
    /// Resolve `target`: `HOST:PORT`, with `tcp://` or `ws://` in front if the transport is to be said there.
    pub(crate) async fn resolve(target: &str, transport: Transport) -> anyhow::Result<Endpoint> {
        let (name, transport) = match target.split_once("://") {
            None => (target, transport),
            Some(("ws", name)) => (name, Transport::WebSocket),
            Some(("tcp", name)) if transport == Transport::Tcp => (name, transport),
            Some((scheme, _)) => bail!("cannot connect to {target}: use HOST:PORT, tcp:// or ws://, not {scheme}://"),
        };
        let name = name.trim_end_matches('/');
        let addresses: Vec<_> = tokio::net::lookup_host(name)
            .await
            .with_context(|| format!("cannot resolve {name}: an address is HOST:PORT"))?
            .collect();
        if addresses.is_empty() {
            bail!("cannot resolve {name}: no address has that name");
        }
        Ok(Endpoint { name: name.to_owned(), addresses, transport })
    }

    /// Whether every address is this machine's own.
    pub(crate) fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.ip().is_loopback())
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport
    }
}
