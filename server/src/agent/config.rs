//! Settings of client connections.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::{at_least, duration};

/// How the server treats one client connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Longest time from accepting a connection to the client's Ack. Whatever the transport does first (a WebSocket
    /// upgrade) counts as well.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "at_least::millis::<1, _>")]
    #[schemars(with = "String")]
    pub(crate) handshake_timeout: Duration,
    /// How often each side says that it is alive; clients learn it in the handshake. A client that sent no packet for
    /// three times as long is gone. At least 1s: clients read whole seconds.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "at_least::millis::<1000, _>")]
    #[schemars(with = "String")]
    pub(crate) heartbeat: Duration,
    /// Longest time a client may take none of what is written to it.
    #[serde(serialize_with = "duration::serialize", deserialize_with = "at_least::millis::<1, _>")]
    #[schemars(with = "String")]
    pub(crate) write_timeout: Duration,
    /// Largest packet body from a client, in bytes; at most 16 777 215. A larger one closes the connection.
    #[serde(deserialize_with = "at_least::number::<1, _>")]
    pub(crate) max_packet: usize,
    /// The same before the client's Ack: what strangers may make the server keep. A handshake may carry a token.
    #[serde(deserialize_with = "at_least::number::<1, _>")]
    pub(crate) max_handshake_packet: usize,
    /// What may wait for one client. More closes it as a slow consumer.
    pub(crate) outbound: OutboundConfig,
}

/// What may wait for one client: queued, or given to the system's socket and not taken by it. One message that is larger
/// than the bound by itself is taken when nothing else waits, and until the connection's task had its turn four times the
/// bound: before that nobody knows whether the client is slow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OutboundConfig {
    /// How many messages.
    #[serde(deserialize_with = "at_least::number::<1, _>")]
    pub(crate) messages: usize,
    /// How many bytes.
    #[serde(deserialize_with = "at_least::number::<1, _>")]
    pub(crate) bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(30),
            write_timeout: Duration::from_secs(10),
            max_packet: 1 << 20,
            max_handshake_packet: 16 << 10,
            outbound: OutboundConfig::default(),
        }
    }
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self { messages: 256, bytes: 1 << 20 }
    }
}
