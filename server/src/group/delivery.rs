//! Published messages that wait for one worker to hand them to its sessions.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::config::WAITING_BYTES;
use crate::session::SessionId;
use crate::wire::{SharedPush, Text};

/// A worker hands out so many messages before its connections have their turn to write.
const TURN: usize = 32;

/// A published message on its way to the members here.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) channel: Text,
    pub(super) push: SharedPush,
    /// A member that does not get it.
    pub(super) except: Option<SessionId>,
}

/// The messages that wait for one worker, in the order in which they came.
pub(super) struct Queue {
    most: usize,
    waiting: Mutex<Waiting>,
    /// Held while messages are handed out, so that nobody overtakes.
    delivering: Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Arc<Delivery>>,
    bytes: usize,
    /// A task will take its turn.
    is_scheduled: bool,
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), waiting: Mutex::default(), delivering: Mutex::default() }
    }

    /// Queues a message; true when the caller has to start a task that takes turns. When the queue is full the caller
    /// itself hands out what waits, in the order in which it came.
    pub(super) fn put(&self, message: Arc<Delivery>, deliver: impl Fn(&Delivery)) -> bool {
        loop {
            {
                let mut waiting = self.waiting.lock();
                let is_full = waiting.messages.len() >= self.most || waiting.bytes >= WAITING_BYTES;
                if !is_full {
                    waiting.bytes += message.push.body().len();
                    waiting.messages.push_back(message);
                    return !std::mem::replace(&mut waiting.is_scheduled, true);
                }
            }
            self.hand_out(self.most, &deliver);
        }
    }

    /// One turn of the task that hands messages out; true when there are more.
    pub(super) fn turn(&self, deliver: impl Fn(&Delivery)) -> bool {
        self.hand_out(TURN, &deliver);
        let mut waiting = self.waiting.lock();
        waiting.is_scheduled = !waiting.messages.is_empty();
        waiting.is_scheduled
    }

    fn hand_out(&self, most: usize, deliver: &impl Fn(&Delivery)) {
        let _alone = self.delivering.lock();
        for _ in 0..most {
            let Some(message) = self.waiting.lock().take() else { return };
            deliver(&message);
        }
    }

    /// How many messages wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.lock().messages.len()
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Arc<Delivery>> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.push.body().len();
        Some(message)
    }
}
