//! How an image is stopped, and how it says why it ended.

use std::time::Duration;

use crate::ServerTypeSpec;

/// The signal that asks a server to drain; a second one to close at once. SIGINT and SIGQUIT mean nothing else.
pub const DRAIN_SIGNAL: &str = "SIGTERM";

/// The user that a server runs as, whatever its image names: who runs it cannot know whether that would be root.
pub const RUN_AS_USER: i64 = 65532;

/// The group of that user.
pub const RUN_AS_GROUP: i64 = 65532;

/// What the end of a server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// It was asked to stop, and has.
    Stopped,
    /// It could not start or go on: a setting is wrong, a port is taken. The last line of its standard error says what.
    Failed,
    /// Its arguments are wrong.
    Usage,
}

impl ExitCode {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::Failed => 1,
            Self::Usage => 2,
        }
    }
}

/// How long a server has from the first [`DRAIN_SIGNAL`] until it is killed: linger, deadline and 30 s.
pub fn termination_grace(spec: &ServerTypeSpec) -> Duration {
    spec.drain.termination_grace()
}
