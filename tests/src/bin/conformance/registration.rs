//! Shows the server in the topology's directory, with the conditions that a cluster would set.

use std::sync::Arc;

use anyhow::Context as _;
use cereus::{
    Phase, Running,
    topology::{DirectoryWriter, Server},
};

/// One server's entry in a directory.
pub(crate) struct Registration {
    writer: DirectoryWriter,
}

impl Registration {
    /// For the directory that `--topology` names; none without the flag.
    pub(crate) fn from_arguments(arguments: &[String]) -> anyhow::Result<Option<Self>> {
        let Some(place) = arguments.iter().position(|argument| argument == "--topology") else { return Ok(None) };
        let directory = arguments.get(place + 1).context("--topology needs a folder")?;
        Ok(Some(Self { writer: DirectoryWriter::new(directory)? }))
    }

    /// Writes what `phase` means for `server`.
    pub(crate) fn show(&mut self, phase: Phase, server: &Running) -> anyhow::Result<()> {
        let Some(address) = server.link else { return Ok(()) };
        if phase == Phase::Closing {
            return Ok(self.writer.remove(&server.id)?);
        }
        let ready = phase == Phase::Serving;
        self.writer.write(&Server {
            id: Arc::clone(&server.id),
            server_type: Arc::clone(&server.server_type),
            address,
            zone: None,
            version: None,
            ready,
            serving: true,
            terminating: !ready,
        })?;
        Ok(())
    }
}
