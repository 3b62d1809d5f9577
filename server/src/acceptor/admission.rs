//! How many connections there may be.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::Config;

/// The limits that all acceptors of a server share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    connections: Arc<Semaphore>,
    pending: Arc<Semaphore>,
}

/// Room for one connection.
#[derive(Debug)]
pub(super) struct Permit {
    /// Kept until the connection is gone.
    pub(super) connection: OwnedSemaphorePermit,
    /// Kept until its handshake is complete.
    pub(super) pending: OwnedSemaphorePermit,
}

impl Admission {
    /// `acceptors` is how many will share it: each holds a permit while it waits, so that is the least there can be.
    pub(crate) fn new(config: &Config, acceptors: usize) -> Self {
        let permits = |limit: usize| Arc::new(Semaphore::new(limit.max(acceptors).min(Semaphore::MAX_PERMITS)));
        Self { connections: permits(config.max_connections), pending: permits(config.max_pending_handshakes) }
    }

    /// Waits until there is room.
    pub(super) async fn permit(&self) -> Result<Permit, AcquireError> {
        let connection = Arc::clone(&self.connections).acquire_owned().await?;
        let pending = Arc::clone(&self.pending).acquire_owned().await?;
        Ok(Permit { connection, pending })
    }
}
