//! What is said on the socket.

use serde::{Deserialize, Serialize};

use super::super::{logs::LogLine, status::GameStatus};

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(crate) enum Request {
    /// What runs.
    Get {},
    /// Have so many servers of a type, and wait until it is so.
    Scale {
        #[serde(rename = "type")]
        server_type: String,
        replicas: u32,
        #[serde(default)]
        wait: bool,
    },
    /// The last lines of a server or of all servers of a type, and those to come.
    Logs {
        of: String,
        tail: usize,
        #[serde(default)]
        follow: bool,
    },
}

/// One line of what is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Answer {
    Status(GameStatus),
    /// What is done, for people.
    Said(String),
    Line(LogLine),
    /// Why nothing is done; the last line.
    Error(String),
}
