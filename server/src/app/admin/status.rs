//! What a server says about itself.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::topology::{Skipped, SourceStatus};

/// What the admin port asks of the server. Called on the background runtime; must not block.
pub(crate) trait StatusSource: Send + Sync + 'static {
    /// Everything, as of now.
    fn status(&self) -> Status;
    /// Whether the server takes traffic, or why not.
    fn readiness(&self) -> Result<(), String>;
    /// Begin to drain. Asking twice changes nothing.
    fn drain(&self);
}

/// The answer to `/status`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Status {
    /// Who is speaking.
    pub(crate) server: ServerStatus,
    /// Where in its life the server is.
    pub(crate) phase: Phase,
    /// For how long the process has run, in seconds.
    pub(crate) uptime_seconds: u64,
    /// Servers that it knows to be ready, by type; itself among them.
    pub(crate) servers: BTreeMap<String, usize>,
    /// Where it knows them from.
    pub(crate) topology: TopologyStatus,
    /// Clients connected to this server.
    pub(crate) sessions: u64,
    /// Sessions that this server holds on to.
    pub(crate) pins: u64,
    /// Sessions with work queued or running.
    pub(crate) lanes: u64,
    /// Calls to other servers that are not answered.
    pub(crate) pending_calls: u64,
    /// Running tasks of all workers.
    pub(crate) tasks: u64,
    /// Links to and from other servers, one row each.
    pub(crate) links: Vec<serde_json::Value>,
    /// Channels: how many, their members, and what is known of each other's interest.
    pub(crate) channels: serde_json::Value,
    /// What is in queues now: messages and bytes for clients, those of the client for whom the most messages wait, jobs
    /// in lanes, handshakes, and what is handed from worker to worker. Those of links and channels are with these.
    pub(crate) queues: BTreeMap<&'static str, usize>,
    /// What was counted since the start.
    pub(crate) counters: BTreeMap<String, u64>,
}

/// Who a server is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ServerStatus {
    /// Its name in the topology.
    pub(crate) id: String,
    /// Its server type.
    #[serde(rename = "type")]
    pub(crate) server_type: String,
    /// Different for each process.
    pub(crate) incarnation: u64,
    /// Whether clients connect to it.
    pub(crate) frontend: bool,
    /// Release of the framework.
    pub(crate) version: String,
}

/// Where a server knows the others from.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TopologyStatus {
    /// None when it knows no other.
    #[serde(flatten)]
    pub(crate) source: Option<SourceStatus>,
    /// What could not be made use of.
    pub(crate) skipped: Skipped,
}

/// Where in its life a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Phase {
    /// Not yet ready.
    Starting,
    /// Taking traffic.
    Serving,
    /// Letting sessions end.
    Draining,
    /// Closing what is left.
    Closing,
}

impl Phase {
    /// Every phase, in the order of a server's life.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Serving, Self::Draining, Self::Closing];
}
