//! Settings of the acceptors.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
