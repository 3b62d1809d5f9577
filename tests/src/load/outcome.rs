//! What a load has seen.

use std::{collections::BTreeMap, fmt, time::Duration};

use tokio::time::Instant;

/// What became of the requests and the connections.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How often each error was answered, by its code.
    pub errors: BTreeMap<String, usize>,
    /// The bodies of good answers, and when each came.
    pub bodies: BTreeMap<String, Seen>,
    /// Requests that have no answer because the connection ended before it.
    pub cut: usize,
    /// How often a client heard that its server will close.
    pub told: usize,
    /// Connections that the server closed.
    pub closings: Vec<Closing>,
    /// Connections that were made.
    pub connections: usize,
    /// Attempts to connect anew that failed, by what went wrong.
    pub refused: BTreeMap<String, usize>,
    /// The time that each answer took.
    pub times: Vec<Duration>,
}

/// When answers with the same body came.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The first.
    pub first: Instant,
    /// The latest.
    pub last: Instant,
}

/// A connection that the server closed.
#[derive(Clone, Debug)]
pub struct Closing {
    /// When it ended.
    pub at: Instant,
    /// The last good answer on it.
    pub last: Option<String>,
}

impl Outcome {
    /// The time within which so many of a hundred answers came.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(place).copied().unwrap_or_default()
    }

    /// The longest time that an answer took.
    pub fn longest(&self) -> Duration {
        self.percentile(100)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} answers ({:?} half, {:?} 99 of 100, {:?} all), errors {:?}, {} cut; {} connections, {} closed, {} told, \
             refused {:?}",
            self.times.len(),
            self.percentile(50),
            self.percentile(99),
            self.longest(),
            self.errors,
            self.cut,
            self.connections,
            self.closings.len(),
            self.told,
            self.refused,
        )
    }
}
