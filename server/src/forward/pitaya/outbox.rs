//! What waits to be given to a session's frontend, in its order.

use std::collections::VecDeque;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::frontends::Outgoing;
use crate::session::{BoxFuture, PushError};

/// Pushes of one session that may wait, and their bytes: as many as a client's own queue takes.
const MESSAGES: usize = 256;
const BYTES: usize = 1 << 20;

/// Resolves when what was queued before has been sent, or given up.
pub(super) type Flushed = BoxFuture<'static, ()>;

/// Messages to one session, sent one after the other.
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// How many have been sent, or given up.
    sent: watch::Sender<u64>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Outgoing>,
    bytes: usize,
    queued: u64,
    /// Somebody sends.
    running: bool,
    kicked: bool,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::default(), sent: watch::Sender::new(0) }
    }

    /// Queues a message. True: the caller has to send, from now until [`Outbox::next`] gives nothing.
    pub(super) fn push(&self, message: Outgoing) -> Result<bool, PushError> {
        let mut queue = self.queue.lock();
        match &message {
            _ if queue.kicked => return Err(PushError::Closed),
            // Always taken, once: nothing follows it.
            Outgoing::Kick(_) => queue.kicked = true,
            Outgoing::Push(_) if !queue.has_room() => return Err(PushError::Full),
            Outgoing::Push(_) => queue.bytes += size(&message),
        }
        queue.waiting.push_back(message);
        queue.queued += 1;
        Ok(!std::mem::replace(&mut queue.running, true))
    }

    /// The next message to send.
    pub(super) fn next(&self) -> Option<Outgoing> {
        let mut queue = self.queue.lock();
        let next = queue.waiting.pop_front();
        match &next {
            Some(message) => queue.bytes -= size(message),
            None => queue.running = false,
        }
        next
    }

    /// One message has been sent, or given up.
    pub(super) fn sent(&self) {
        self.sent.send_modify(|sent| *sent += 1);
    }

    /// Resolves when all that is queued now has been sent; `None` when nothing is.
    pub(super) fn flushed(&self) -> Option<Flushed> {
        let queued = self.queue.lock().queued;
        if *self.sent.borrow() >= queued {
            return None;
        }
        let mut sent = self.sent.subscribe();
        Some(async move { drop(sent.wait_for(|sent| *sent >= queued).await) }.boxed())
    }

    /// Resolves when there may be room.
    pub(super) fn writable(&self) -> BoxFuture<'static, ()> {
        let queue = self.queue.lock();
        if queue.has_room() || queue.kicked {
            return std::future::ready(()).boxed();
        }
        // The next that is sent makes room.
        let (before, mut sent) = (*self.sent.borrow(), self.sent.subscribe());
        async move { drop(sent.wait_for(|sent| *sent > before).await) }.boxed()
    }
}

impl Queue {
    fn has_room(&self) -> bool {
        self.waiting.len() < MESSAGES && self.bytes < BYTES
    }
}

fn size(message: &Outgoing) -> usize {
    match message {
        Outgoing::Push(push) => push.route.len() + push.data.len(),
        Outgoing::Kick(_) => 0,
    }
}
