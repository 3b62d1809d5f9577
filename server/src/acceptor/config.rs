//! Settings of the acceptors.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// Where clients connect, and how many may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The addresses to listen on. None: this server has no clients of its own.
    pub listen: Vec<Listen>,
    /// Most client connections at a time, over all acceptors. At the limit, accepting waits and clients queue in the
    /// system's backlog. Each connection is an open file: keep it below the process's limit of open files.
    pub max_connections: usize,
    /// Most connections that have not completed their handshake. At the limit, accepting waits.
    pub max_pending_handshakes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: Vec::new(), max_connections: 20_000, max_pending_handshakes: 10_000 }
    }
}

/// One address that clients connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// What it is called in logs and errors.
    pub name: String,
    /// How packets are carried.
    pub protocol: Protocol,
    /// Address and port, as in `0.0.0.0:3250` or `[::]:3250`; with port 0 the system picks one.
    pub address: SocketAddr,
    /// Encrypts the connections: TLS, or WebSocket over TLS (`wss:`). Not set: they are not encrypted.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// Whether each connection begins with a PROXY header, version 1 or 2, in which a load balancer says where the client
    /// is. One without is closed.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// The networks whose PROXY headers are believed, such as `10.0.0.0/8`; a connection from elsewhere is closed. Empty:
    /// all. It matters only with `proxy_protocol`.
    #[serde(default, deserialize_with = "networks")]
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
}

/// The certificate of an acceptor. Its files may be replaced while the server runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A PEM file with the certificate and those between it and its authority, the server's own first.
    pub certificate: PathBuf,
    /// A PEM file with the key of the certificate.
    pub key: PathBuf,
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: String| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| {
            de::Error::custom(format!(
                "{text:?} is no network: write an address, or one with the length of its prefix, such as 10.0.0.0/8"
            ))
        })
    };
    Vec::<String>::deserialize(deserializer)?.into_iter().map(network).collect()
}

/// How packets are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// Packets back to back on a TCP stream.
    #[serde(rename = "TCP")]
    Tcp,
    /// One packet or more per WebSocket message.
    WebSocket,
}
