//! What all connections of one worker share on the way of their messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::conversation::Dialogue;
use super::{Client, Conversation, Conversations};
use crate::handler::{Registry, Runtime};
use crate::lanes::Spawner;
use crate::request::App;
use crate::router::Router;
use crate::session::{Entity, Record};
use crate::topology::ServerType;

/// The parts that a [`Dispatcher`] is made of.
pub(crate) struct DispatcherParts {
    /// This server's type: routes that name it, or none, are handled here.
    pub(crate) server_type: ServerType,
    /// The worker's handle for user code.
    pub(crate) app: App,
    /// The handlers of this server.
    pub(crate) registry: Arc<Registry>,
    /// Where and how handlers run.
    pub(crate) handlers: Arc<Runtime>,
    /// Chooses servers of other types.
    pub(crate) router: Arc<Router>,
    /// Where lanes run: this worker.
    pub(crate) spawner: Spawner,
    /// From arrival to the answer, at most.
    pub(crate) request_timeout: Duration,
    /// How many messages of one session may be open.
    pub(crate) session_messages: usize,
}

/// Makes the conversations of one worker's connections.
pub(crate) struct Dispatcher {
    pub(super) parts: DispatcherParts,
    pub(super) counters: Counters,
}

/// What happened to messages before any handler saw them.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    refused: AtomicU64,
    unnumbered: AtomicU64,
    notifies_failed: AtomicU64,
}

impl Counters {
    /// A message with a bad route, or without a handler or a server.
    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A request with id 0, which cannot be answered.
    pub(super) fn unnumbered(&self) {
        self.unnumbered.fetch_add(1, Ordering::Relaxed);
    }

    /// A notify for another server that was not sent, or whose link was lost.
    pub(super) fn notify_failed(&self) {
        self.notifies_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// How many notifies for other servers were not sent, or had their link lost.
    pub(crate) fn notifies_failed(&self) -> u64 {
        self.notifies_failed.load(Ordering::Relaxed)
    }

    /// How many messages were refused, and how many requests had id 0.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.refused.load(Ordering::Relaxed), self.unnumbered.load(Ordering::Relaxed))
    }
}

impl Dispatcher {
    /// The dispatcher of one worker.
    pub(crate) fn new(parts: DispatcherParts) -> Arc<Self> {
        Arc::new(Self { parts, counters: Counters::default() })
    }

    /// What this worker's dispatcher has counted.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// The factory of one worker, as the agent holds it.
impl Conversations for Arc<Dispatcher> {
    fn open(&self, record: Arc<Record>, entity: Arc<dyn Entity>, client: Arc<dyn Client>) -> Arc<dyn Conversation> {
        Dialogue::new(self.clone(), record, entity, client)
    }
}
