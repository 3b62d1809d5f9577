//! The requests of one connection that are not over yet.
//!
//! An entry lives as long as its message is in a lane, waits for a choice or is in flight. The client's answer is taken
//! out of it once: whoever comes second, the handler or the deadline, finds nothing to answer.

use slab::Slab;
use tokio::time::Instant;

use crate::topology::ServerType;

/// A message that was taken from the client and whose work has not ended.
#[derive(Debug)]
pub(super) struct Open {
    /// The client's message id; `None` for a notify and once answered.
    answer: Option<u64>,
    is_notify: bool,
    /// Counts the connection's messages: their order.
    number: u64,
    deadline: Instant,
    /// The server type that it was forwarded to; `None` when it is the connection's own.
    server_type: Option<ServerType>,
    /// Whether it has been routed a second time.
    returned: bool,
}

/// A connection keeps room for so many: clients mostly have a few requests under way at a time.
const KEPT: usize = 8;

/// All open requests of one connection.
#[derive(Debug, Default)]
pub(super) struct OpenRequests {
    entries: Slab<Open>,
    taken: u64,
    /// No unanswered request ends before this; may be earlier than the earliest.
    next_deadline: Option<Instant>,
}

impl OpenRequests {
    /// Takes a message with its id (`None` for a notify); gives its slot.
    pub(super) fn insert(&mut self, answer: Option<u64>, deadline: Instant, server_type: Option<ServerType>) -> usize {
        if answer.is_some() && self.next_deadline.is_none_or(|next| deadline < next) {
            self.next_deadline = Some(deadline);
        }
        self.taken += 1;
        let is_notify = answer.is_none();
        self.entries.insert(Open { answer, is_notify, number: self.taken, deadline, server_type, returned: false })
    }

    /// How many messages are open.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the client waits for an answer.
    pub(super) fn owes_an_answer(&self) -> bool {
        self.entries.iter().any(|(_, open)| open.answer.is_some())
    }

    /// Whether the message of `slot` is one that nobody is answered.
    pub(super) fn is_notify(&self, slot: usize) -> bool {
        self.entries.get(slot).is_some_and(|open| open.is_notify)
    }

    /// The place of the message of `slot` among all that the connection sent.
    pub(super) fn number(&self, slot: usize) -> u64 {
        self.entries.get(slot).map_or(0, |open| open.number)
    }

    /// The server type that the message of `slot` was forwarded to.
    pub(super) fn server_type(&self, slot: usize) -> Option<ServerType> {
        self.entries.get(slot).and_then(|open| open.server_type.clone())
    }

    /// The work of `slot` has ended; gives the id that still has to be answered.
    pub(super) fn finish(&mut self, slot: usize) -> Option<u64> {
        self.entries.try_remove(slot).and_then(|open| open.answer)
    }

    /// The deadline of `slot` when it may be routed again: once, and before then.
    pub(super) fn return_once(&mut self, slot: usize, now: Instant) -> Option<Instant> {
        let open = self.entries.get_mut(slot)?;
        let first = !std::mem::replace(&mut open.returned, true);
        (first && open.deadline > now).then_some(open.deadline)
    }

    /// When `expire` has to be called next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next_deadline
    }

    /// Gives the ids whose time is over; their work goes on and will find nothing to answer.
    pub(super) fn expire(&mut self, now: Instant, mut answer: impl FnMut(u64)) {
        let mut next: Option<Instant> = None;
        for (_, open) in &mut self.entries {
            if open.answer.is_none() {
                continue;
            }
            if open.deadline <= now {
                open.answer.take().into_iter().for_each(&mut answer);
            } else if next.is_none_or(|next| open.deadline < next) {
                next = Some(open.deadline);
            }
        }
        self.next_deadline = next;
    }

    /// Gives back the memory of a burst once nothing is open.
    pub(super) fn shrink(&mut self) {
        if self.entries.is_empty() {
            self.next_deadline = None;
            if self.entries.capacity() > KEPT {
                self.entries = Slab::new();
            }
        }
    }
}
