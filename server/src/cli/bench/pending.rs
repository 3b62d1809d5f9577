//! The requests of one connection that wait for their answer.

use std::{collections::VecDeque, time::Instant};

/// Open requests by id. Ids rise by one, so that a queue of start times is enough: answers come nearly in order.
#[derive(Debug)]
pub(super) struct Pending {
    /// The id of the first entry.
    first: u64,
    /// When each was sent, or was due; nothing once it is answered.
    started: VecDeque<Option<Instant>>,
    open: usize,
}

impl Pending {
    /// Ids begin at 1: a request with the id 0 is a notify.
    pub(super) fn new() -> Pending {
        Pending { first: 1, started: VecDeque::new(), open: 0 }
    }

    /// Open a request that counts from `started`, and give its id.
    pub(super) fn open(&mut self, started: Instant) -> u64 {
        self.started.push_back(Some(started));
        self.open += 1;
        self.first + self.started.len() as u64 - 1
    }

    /// Close the request `id`: when it was started, or nothing if it is not open.
    pub(super) fn close(&mut self, id: u64) -> Option<Instant> {
        let place = usize::try_from(id.checked_sub(self.first)?).ok()?;
        let started = self.started.get_mut(place)?.take()?;
        self.open -= 1;
        while let Some(None) = self.started.front() {
            self.started.pop_front();
            self.first += 1;
        }
        Some(started)
    }

    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.open
    }

    /// When those that are open were started.
    pub(super) fn started(&self) -> impl Iterator<Item = Instant> {
        self.started.iter().copied().flatten()
    }
}
