//! Session ids.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The number of a session, unique among all that a frontend ever had. Always positive.
///
/// The low 8 bits are the worker that holds the connection; the rest grows with time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(i64);

/// A number that is no session id: zero or negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a session id")]
pub struct InvalidSessionId(pub i64);

const WORKER_BITS: u32 = 8;
const COUNT_BITS: u32 = 13;

impl SessionId {
    /// The number itself, as it travels.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The worker of the frontend that holds the session.
    pub const fn worker(self) -> u8 {
        self.0.to_le_bytes()[0]
    }
}

impl TryFrom<i64> for SessionId {
    type Error = InvalidSessionId;

    fn try_from(number: i64) -> Result<Self, InvalidSessionId> {
        if number > 0 { Ok(Self(number)) } else { Err(InvalidSessionId(number)) }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SessionId({})", self.0)
    }
}

/// Hands out the session ids of one worker. A process makes one for each worker, once.
///
/// Ids are (milliseconds since 1970 at the start · 2¹³ + count) · 2⁸ + worker. A process that starts later begins higher,
/// unless the one before it opened more than 8 192 sessions per worker in each millisecond it lived; so ids do not
/// repeat across restarts. 63 bits last until the year 2109.
#[derive(Debug)]
pub struct SessionIds {
    next: AtomicI64,
    worker: u8,
}

impl SessionIds {
    /// Ids for sessions of `worker`, beginning with the present time.
    pub fn new(worker: u8) -> Self {
        Self::starting_at(SystemTime::now(), worker)
    }

    /// Ids for sessions of `worker`, beginning with the time `start`.
    pub fn starting_at(start: SystemTime, worker: u8) -> Self {
        // A clock before 1970 counts as 1970: the ids are still unique within the process.
        let millis = start.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let millis = i64::try_from(millis).unwrap_or(0) & (i64::MAX >> (COUNT_BITS + WORKER_BITS));
        Self { next: AtomicI64::new((millis << COUNT_BITS) + 1), worker }
    }

    /// An id that was never handed out before.
    pub fn next(&self) -> SessionId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        SessionId(count << WORKER_BITS | i64::from(self.worker))
    }
}
