//! Tells the servers of each other, as the endpoint controller of a cluster does.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;

use super::{manifest::Manifest, replica::Replica};
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
            server_type: Arc::clone(&replica.server_type),
            address: replica.link,
            zone: None,
            version: replica.version.clone(),
            ready: probed && !terminating,
            serving: probed,
            terminating,
        })?;
        Ok(())
    }

    /// Show a type: how others choose among its servers.
    pub(super) fn declare(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let path = self.type_file(&manifest.name);
        let text = serde_yaml::to_string(&manifest.server_type)?;
        // Readers see the whole file or none.
        let draft = self.writer.directory().join(format!(".{}.draft", manifest.name));
        fs::write(&draft, text).and_then(|()| fs::rename(&draft, &path)).with_context(|| path.display().to_string())
    }

    /// Show a type no longer.
    pub(super) fn withdraw(&self, name: &str) -> anyhow::Result<()> {
        let path = self.type_file(name);
        fs::remove_file(&path).with_context(|| path.display().to_string())
    }

    fn type_file(&self, name: &str) -> std::path::PathBuf {
        self.writer.directory().join(format!("servertype-{name}.yaml"))
    }

    /// Show a server no longer.
    pub(super) fn remove(&self, replica: &Replica) -> anyhow::Result<()> {
        self.writer.remove(&replica.name)?;
        Ok(())
    }
}
