//! What an operator may choose about the wire.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compression::CompressionConfig;

/// How messages are written to clients and what is accepted from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Compression of bodies.
    pub compression: CompressionConfig,
    /// Which clients get dictionary codes instead of routes in pushes.
    pub push_codes: PushCodes,
}

/// Which clients get dictionary codes instead of routes in pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushCodes {
    /// Those that can read them: JavaScript clients, and clients that say so in their handshake.
    #[default]
    Known,
    /// All of them. Older native clients break on a push with a code.
    Always,
}
