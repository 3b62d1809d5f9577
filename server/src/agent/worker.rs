//! What the connections of one worker share.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use slab::Slab;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{buffers::Buffers, connection::Connection, counts::Counts, settings::Settings};
use crate::{
    dispatch::Conversations,
    session::{CloseReason, Pool, SessionIds},
};

/// What one read of a connection may give. All connections of a worker share it, one at a time.
const READ_BUFFER: usize = 64 << 10;

/// The connections of one worker, and what they share.
pub(crate) struct Worker {
    settings: Arc<Settings>,
    conversations: Arc<dyn Conversations>,
    pool: Arc<Pool>,
    ids: SessionIds,
    read_buffer: Mutex<Box<[u8]>>,
    buffers: Buffers,
    counts: Counts,
    connections: Mutex<Slab<Weak<Connection>>>,
    /// When the server will close what is left, once it drains.
    drain_deadline: Mutex<Option<Instant>>,
    /// Connections that come now are closed at once.
    closing: CancellationToken,
    /// Connections before their Ack are closed, those that come now as well. Cancelled with `closing`.
    turning_away: CancellationToken,
}

/// The outbound queues of all clients of a worker, together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// How many messages wait for the client for whom the most do.
    pub(crate) most_messages: usize,
}

impl Worker {
    pub(crate) fn new(
        settings: Arc<Settings>,
        conversations: Arc<dyn Conversations>,
        pool: Arc<Pool>,
        ids: SessionIds,
    ) -> Arc<Self> {
        let closing = CancellationToken::new();
        Arc::new(Self {
            settings,
            conversations,
            pool,
            ids,
            read_buffer: Mutex::new(vec![0; READ_BUFFER].into_boxed_slice()),
            buffers: Buffers::default(),
            counts: Counts::default(),
            connections: Mutex::default(),
            drain_deadline: Mutex::default(),
            turning_away: closing.child_token(),
            closing,
        })
    }

    /// How many connections there are and what became of the others.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Tell the clients that asked for it, and those that still come, that the server closes their connection at
    /// `deadline`. Closes nothing.
    pub(crate) fn drain(&self, deadline: Instant) {
        *self.drain_deadline.lock() = Some(deadline);
        let seconds = seconds_until(deadline);
        for connection in self.live() {
            connection.announce_drain(seconds);
        }
    }

    /// Close the connections that have not completed their handshake, and those that still come: they are no sessions yet
    /// that a drain would wait for.
    pub(crate) fn turn_away(&self) {
        self.turning_away.cancel();
    }

    /// Close every connection when what it asked for is answered, evenly over `spread`, so that they do not all come back
    /// somewhere at the same moment. No client is kicked. Returns when all are told; their tasks end soon after.
    pub(crate) async fn dismiss_all(&self, spread: Duration) {
        let start = Instant::now();
        let connections = self.live_weakly();
        let count = u32::try_from(connections.len()).unwrap_or(u32::MAX).max(1);
        for (index, connection) in (0..count).zip(connections) {
            sleep_until(start + spread * index / count).await;
            if let Some(connection) = connection.upgrade() {
                connection.leave();
            }
        }
        self.close_those_that_come();
        for connection in self.live() {
            connection.leave();
        }
    }

    /// Close every connection now.
    pub(crate) fn close_all(&self) {
        self.close_those_that_come();
        for connection in self.live() {
            connection.close(CloseReason::Draining);
        }
    }

    /// New ones see the token after they are listed: none is missed by who goes through the list after this.
    fn close_those_that_come(&self) {
        self.closing.cancel();
    }

    /// What waits to be written to the clients, now. Looks at each connection, so it is not for the path of messages.
    pub(crate) fn outbound(&self) -> Waiting {
        let amounts = self.live().map(|connection| connection.waiting());
        amounts.fold(Waiting::default(), |sum, one| Waiting {
            messages: sum.messages + one.messages,
            bytes: sum.bytes + one.bytes,
            most_messages: sum.most_messages.max(one.messages),
        })
    }

    pub(super) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    pub(super) fn conversations(&self) -> &dyn Conversations {
        &*self.conversations
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(super) fn ids(&self) -> &SessionIds {
        &self.ids
    }

    pub(super) fn read_buffer(&self) -> MutexGuard<'_, Box<[u8]>> {
        self.read_buffer.lock()
    }

    pub(super) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Cancelled when connections before their Ack are closed.
    pub(super) fn turning_away(&self) -> &CancellationToken {
        &self.turning_away
    }

    /// List a connection, and tell it what it missed. Returns its key in the list.
    pub(super) fn list(&self, connection: &Arc<Connection>) -> usize {
        let key = self.connections.lock().insert(Arc::downgrade(connection));
        let deadline = *self.drain_deadline.lock();
        if let Some(deadline) = deadline {
            connection.announce_drain(seconds_until(deadline));
        }
        if self.closing.is_cancelled() {
            connection.close(CloseReason::Draining);
        }
        key
    }

    pub(super) fn unlist(&self, key: usize) {
        self.connections.lock().try_remove(key);
    }

    fn live_weakly(&self) -> Vec<Weak<Connection>> {
        self.connections.lock().iter().map(|(_, connection)| Weak::clone(connection)).collect()
    }

    fn live(&self) -> impl Iterator<Item = Arc<Connection>> {
        self.live_weakly().into_iter().filter_map(|connection| connection.upgrade())
    }
}

/// Whole seconds, rounded up: a client told "0" would think it is over.
fn seconds_until(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Worker").field("counts", &self.counts).finish_non_exhaustive()
    }
}
