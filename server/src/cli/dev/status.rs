//! What is known of a game at one moment: what `cereus get` shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A game.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GameStatus {
    pub(crate) types: Vec<TypeStatus>,
    pub(crate) servers: Vec<ServerStatus>,
}

/// A server type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TypeStatus {
    pub(crate) name: String,
    pub(crate) frontend: bool,
    /// How many servers there are to be.
    pub(crate) desired: u32,
    /// How many there are, whatever they do.
    pub(crate) servers: u32,
    /// How many take new work.
    pub(crate) ready: u32,
    /// How many run what the manifest says now.
    pub(crate) updated: u32,
    /// How many are taking their leave.
    pub(crate) draining: u32,
}

impl TypeStatus {
    /// Whether everything is as it is to be.
    pub(crate) fn is_settled(&self) -> bool {
        self.draining == 0 && [self.servers, self.ready, self.updated] == [self.desired; 3]
    }
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum ServerState {
    Starting,
    Ready,
    Unready,
    /// It ended and is started again soon.
    Waiting,
    Draining,
}

impl ServerState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Waiting => "waiting",
            Self::Draining => "draining",
        }
    }
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerStatus {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) server_type: String,
    pub(crate) state: ServerState,
    /// Whether it runs what the manifest says now.
    pub(crate) updated: bool,
    /// Clients that are connected to it; none when it did not say.
    pub(crate) sessions: Option<u64>,
    /// When its process was started or ended, in seconds since 1970.
    pub(crate) since: u64,
    pub(crate) restarts: u32,
    /// Why it ended the last time.
    pub(crate) reason: Option<String>,
    pub(crate) pid: Option<u32>,
    /// Where clients connect, by the name of the acceptor.
    pub(crate) clients: BTreeMap<String, String>,
    /// Where other servers reach it.
    pub(crate) link: String,
    /// Where it is probed.
    pub(crate) admin: String,
}
