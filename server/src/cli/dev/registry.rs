//! Tells the servers of each other, as the endpoint controller of a cluster does.

use std::path::Path;

use super::Replica;
use crate::topology::{DirectoryWriter, Server};

/// The conditions that a cluster would set for one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conditions {
    /// What the readiness probe says.
    pub(super) probed: bool,
    /// Whether the server was asked to stop.
    pub(super) terminating: bool,
}

/// The folder of EndpointSlice files.
#[derive(Debug)]
pub(super) struct Registry {
    writer: DirectoryWriter,
}

impl Registry {
    pub(super) fn new(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self { writer: DirectoryWriter::new(directory)? })
    }

    /// Show a server. A server that stops is never ready, and serving for as long as its probe succeeds.
    pub(super) fn show(&self, replica: &Replica, conditions: Conditions) -> anyhow::Result<()> {
        let Conditions { probed, terminating } = conditions;
        self.writer.write(&Server {
            id: replica.name.as_str().into(),
            server_type: replica.server_type.into(),
            address: replica.link,
            zone: None,
            version: None,
            ready: probed && !terminating,
            serving: probed,
            terminating,
        })?;
        Ok(())
    }

    /// Show a server no longer.
    pub(super) fn remove(&self, replica: &Replica) -> anyhow::Result<()> {
        self.writer.remove(&replica.name)?;
        Ok(())
    }
}
