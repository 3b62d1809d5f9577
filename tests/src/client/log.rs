//! All that a client has received, in the order of its arrival.

use std::{collections::HashMap, time::Duration};

use anyhow::anyhow;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};

/// Something that a client received.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its place in the order of arrival, from 0.
    pub sequence: usize,
    /// When it arrived.
    pub at: Instant,
    /// What it is.
    pub kind: EventKind,
}

/// What may be received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The body of a Handshake packet, inflated.
    Handshake(Bytes),
    /// The answer to a request.
    Response {
        /// The request's id.
        id: u64,
        /// Whether the answer is an error.
        error: bool,
        /// The body, inflated.
        body: Bytes,
    },
    /// A message that was not asked for.
    Push {
        /// Its name.
        route: String,
        /// The body, inflated.
        body: Bytes,
    },
    /// A heartbeat of the server.
    Heartbeat,
    /// The server threw the client out, and the reason that it gave.
    Kick(Bytes),
    /// The connection ended as a connection may.
    Closed(String),
    /// The server sent what no server may send.
    Violation(String),
}

impl EventKind {
    /// Whether nothing comes after it.
    pub fn is_end(&self) -> bool {
        matches!(self, EventKind::Closed(_) | EventKind::Violation(_))
    }
}

/// The log of one client.
#[derive(Debug)]
pub(super) struct Log {
    state: Mutex<State>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    /// Places of the responses by id: more than one is a server's mistake.
    responses: HashMap<u64, Vec<usize>>,
}

impl Log {
    pub(super) fn new() -> Log {
        Log { state: Mutex::default(), count: watch::Sender::new(0) }
    }

    pub(super) fn append(&self, kind: EventKind) {
        let mut state = self.state.lock();
        let sequence = state.events.len();
        if let EventKind::Response { id, .. } = &kind {
            state.responses.entry(*id).or_default().push(sequence);
        }
        state.events.push(Event { sequence, at: Instant::now(), kind });
        drop(state);
        self.count.send_replace(sequence + 1);
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.state.lock().events.clone()
    }

    /// The event that `wanted` accepts after it has accepted `skip` others.
    pub(super) fn find(&self, skip: usize, wanted: impl Fn(&EventKind) -> bool) -> Option<Event> {
        self.state.lock().events.iter().filter(|event| wanted(&event.kind)).nth(skip).cloned()
    }

    /// The first event at or after the place `from` that `wanted` accepts.
    pub(super) fn find_from(&self, from: usize, wanted: impl Fn(&EventKind) -> bool) -> Option<Event> {
        self.state.lock().events.iter().skip(from).find(|event| wanted(&event.kind)).cloned()
    }

    /// How the connection ended; nothing while it is open.
    pub(super) fn end(&self) -> Option<Event> {
        self.state.lock().events.last().filter(|event| event.kind.is_end()).cloned()
    }

    pub(super) fn responses(&self, id: u64) -> Vec<Event> {
        let state = self.state.lock();
        let places = state.responses.get(&id).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| state.events.get(*place).cloned()).collect()
    }

    /// Look with `find` at once and after each event, until it finds something, the connection has ended, or the time
    /// is over.
    pub(super) async fn wait<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut find: impl FnMut(&Log) -> Option<T>,
    ) -> anyhow::Result<T> {
        let mut count = self.count.subscribe();
        let deadline = Instant::now() + timeout;
        loop {
            count.borrow_and_update();
            if let Some(found) = find(self) {
                return Ok(found);
            }
            if let Some(end) = self.end() {
                return Err(anyhow!("the connection ended without {what}: {:?}", end.kind));
            }
            if !matches!(tokio::time::timeout_at(deadline, count.changed()).await, Ok(Ok(()))) {
                return Err(anyhow!("no {what} within {timeout:?}"));
            }
        }
    }
}
