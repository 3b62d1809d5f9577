//! Settings of channels.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::duration;

/// Section `channels`: what sessions subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// How many channels one session may be in; a further one is refused with PIT-400.
    pub(crate) per_session: usize,
    /// Above so many channels with members on this server, servers that publish are not told which: they send it all
    /// that is published.
    pub(crate) announced: usize,
    /// How long after its last member left a channel is still announced: whoever comes back within that time waits for
    /// nobody.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub(crate) withdraw_after: Duration,
    /// How many published messages may wait on one worker for their turn; then whoever brings the next one delivers what
    /// waits.
    pub(crate) waiting: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { per_session: 1_024, announced: 100_000, withdraw_after: Duration::from_mins(1), waiting: 4_096 }
    }
}

/// How long a subscription waits for servers to acknowledge the interest; those that did not are then told to send all.
pub(super) const ACKNOWLEDGEMENT: Duration = Duration::from_secs(1);

/// How long a question for the members of a channel, or a message that is to be confirmed, waits for an answer, unless its
/// request's deadline comes first.
pub(super) const ANSWER: Duration = Duration::from_secs(5);

/// The longest name of a channel, in bytes.
pub(super) const LONGEST_NAME: usize = 255;

/// The largest subscription, in bytes: what a member is known by, and its farewell.
pub(super) const LARGEST_SUBSCRIPTION: usize = 4 << 10;

/// Published bytes that may wait on one worker, unless a single message is larger.
pub(super) const WAITING_BYTES: usize = 16 << 20;
