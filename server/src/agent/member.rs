//! A connection's place among the others: what is opened with the Ack and closed exactly once.

use std::sync::Arc;

use tracing::{debug, warn};

use super::{connection::Connection, transport::Peer, worker::Worker};
use crate::{
    dispatch::{Client, Conversation},
    session::{CloseReason, Entity, Entry, Record},
    wire::Handshake,
};

/// The key of the client's IP version in the session's data.
const IP_VERSION: &str = "ipversion";

/// A session that is open. Dropping it closes it: nothing stays behind, even when the task fails.
pub(super) struct Member {
    connection: Arc<Connection>,
    conversation: Arc<dyn Conversation>,
    /// In the worker's list.
    key: usize,
    closed: bool,
}

impl Member {
    /// Open a session for a client that shook hands, in these words.
    pub(super) fn join(worker: &Arc<Worker>, handshake: &Handshake, body: Box<[u8]>, peer: &Peer) -> Self {
        let record = Arc::new(Record::new(worker.ids().next()));
        if let Some(version) = peer.ip_version()
            && let Err(error) = record.set(IP_VERSION, version)
        {
            warn!(%error, "a session has no IP version");
        }
        debug!(session = %record.id(), ?peer, "a client is connected");
        let connection = Arc::new(Connection::new(Arc::clone(worker), Arc::clone(&record), handshake, body));
        let entity: Arc<dyn Entity> = Arc::<Connection>::clone(&connection);
        let client: Arc<dyn Client> = Arc::<Connection>::clone(&connection);
        worker.pool().insert(Arc::new(Entry { record: Arc::clone(&record), entity: Arc::clone(&entity) }));
        let conversation = worker.conversations().open(record, entity, client);
        let key = worker.list(&connection);
        worker.counts().count_opened();
        Self { connection, conversation, key, closed: false }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn conversation(&self) -> &dyn Conversation {
        &*self.conversation
    }

    /// Close the session, with the reason that everybody is told.
    pub(super) fn close(&mut self, reason: CloseReason) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let worker = self.connection.worker();
        let session = self.connection.id();
        debug!(%session, reason = reason.as_str(), "a client is gone");
        worker.counts().count_closed(reason);
        // First nobody finds it any more, then nothing can be queued, then those who care are told.
        worker.unlist(self.key);
        worker.pool().remove(session);
        self.connection.over(reason);
        self.conversation.close(reason);
        self.connection.record().close(reason);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.close(CloseReason::Internal);
    }
}
