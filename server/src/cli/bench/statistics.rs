//! What one run counts.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart from longer ones.
const LONGEST: Duration = Duration::from_mins(2);

/// Latencies and outcomes, shared by all connections of a run.
#[derive(Debug)]
pub(super) struct Statistics {
    latency: Histogram<u64>,
    /// Answers, errors included, that arrived while it was measured.
    pub(super) answered: u64,
    /// Requests sent in that time that got no answer.
    pub(super) unanswered: u64,
    /// Answers to no open request.
    pub(super) unexpected: u64,
    /// Connections that ended before the run.
    pub(super) disconnected: u64,
    /// Error answers by code.
    pub(super) errors: BTreeMap<String, u64>,
    /// Why connections ended, and connections that could not be opened.
    pub(super) failures: BTreeMap<String, u64>,
}

impl Statistics {
    pub(super) fn new() -> anyhow::Result<Statistics> {
        // Three digits hold a tenth of a per cent.
        let latency = Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, 3)?;
        Ok(Statistics {
            latency,
            answered: 0,
            unanswered: 0,
            unexpected: 0,
            disconnected: 0,
            errors: BTreeMap::new(),
            failures: BTreeMap::new(),
        })
    }

    /// Note how long one answer took.
    pub(super) fn record(&mut self, latency: Duration) {
        self.latency.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Note `reason` as what ended a connection or kept it from being opened.
    pub(super) fn fail(&mut self, reason: &anyhow::Error) {
        *self.failures.entry(format!("{reason:#}")).or_default() += 1;
    }

    pub(super) fn latency(&self) -> Latency {
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
        Latency {
            mean: self.latency.mean() / 1000.0,
            p50: microseconds(self.latency.value_at_quantile(0.50)),
            p99: microseconds(self.latency.value_at_quantile(0.99)),
            p99_9: microseconds(self.latency.value_at_quantile(0.999)),
            max: microseconds(self.latency.max()),
        }
    }
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Latency {
    pub(super) mean: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p99_9: f64,
    pub(super) max: f64,
}
