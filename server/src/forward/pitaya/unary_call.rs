//! One forwarded message that somebody waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::PitayaAgent;
use super::outbox::Flushed;
use crate::request::Metadata;
use crate::wire::Error;

/// The result of a handler, and what has to be sent before it.
pub(super) type Answer = (Result<Bytes, Error>, Option<Flushed>);

/// One forwarded message on its way through its lane.
pub(in crate::forward) struct UnaryCall {
    sender: oneshot::Sender<Answer>,
    metadata: Metadata,
    agent: Option<Arc<PitayaAgent>>,
    _admitted: Admitted,
}

impl UnaryCall {
    /// A call with this metadata, and where its answer comes. The answer never comes when the lane is given up.
    pub(super) fn new(metadata: Metadata, admitted: Admitted) -> (Self, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, metadata, agent: None, _admitted: admitted }, receiver)
    }

    /// It has its turn, and `agent` is the other end of its session.
    pub(in crate::forward) fn follow(&mut self, agent: &Arc<PitayaAgent>) {
        self.agent = Some(agent.clone());
    }

    /// What came beside the argument.
    pub(in crate::forward) fn take_metadata(&mut self) -> Metadata {
        std::mem::take(&mut self.metadata)
    }

    /// The handler has ended.
    pub(in crate::forward) fn answer(self, result: Result<Bytes, Error>) {
        let flushed = self.agent.as_ref().and_then(|agent| agent.flushed());
        // A caller that is gone wants no answer.
        let _ = self.sender.send((result, flushed));
    }
}

/// A call that is counted until it has ended.
pub(super) struct Admitted(Arc<AtomicUsize>);

impl Admitted {
    /// Counts one more call, unless there are `bound` already.
    pub(super) fn new(count: &Arc<AtomicUsize>, bound: usize) -> Option<Self> {
        let more = |count: usize| (count < bound).then_some(count + 1);
        let counted = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        counted.is_ok().then(|| Self(count.clone()))
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
