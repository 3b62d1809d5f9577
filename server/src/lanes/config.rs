//! How much work may wait.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::at_least;

/// How much work may be in lanes, on both ends of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// How many messages of one session may be in flight, in lanes or waiting for a server; then reading from that client
    /// pauses.
    #[serde(deserialize_with = "at_least::number::<1, _>")]
    pub(crate) session_messages: usize,
    /// How many requests of one link may be in lanes; more are refused with PIT-503.
    #[serde(deserialize_with = "at_least::number::<1, _>")]
    pub(crate) requests_per_link: usize,
    /// How many batches of lanes may be on their way to other workers; then a worker keeps its lanes.
    pub(crate) hand_overs: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { session_messages: 64, requests_per_link: 65_536, hand_overs: 4_096 }
    }
}
