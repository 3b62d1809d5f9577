//! What the controller counts.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::controller::error::Failure;

/// Buckets of the duration of a run: from a comparison in memory to an API server that times out.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0];

/// The counters. Clones count the same.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    runs: Family<Run, Counter>,
    failures: Family<FailureReason, Counter>,
    duration: Histogram,
    running: Gauge,
    queued: Gauge,
    retrying: Gauge,
    writes: Family<Write, Counter>,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Outcome {
    /// Well.
    Done,
    /// With an error.
    Failed,
    /// There was nothing to do.
    Unchanged,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Run {
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureReason {
    reason: Failure,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    kind: &'static str,
    outcome: Outcome,
}

impl Metrics {
    /// Counters that the registry knows.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            runs: Family::default(),
            failures: Family::default(),
            duration: Histogram::new(SECONDS),
            running: Gauge::default(),
            queued: Gauge::default(),
            retrying: Gauge::default(),
            writes: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("reconcile");
        registry.register("runs", "Runs over a ServerType", metrics.runs.clone());
        registry.register("failures", "Runs that failed, by reason", metrics.failures.clone());
        registry.register("duration_seconds", "How long a run takes", metrics.duration.clone());
        registry.register("running", "ServerTypes that are worked on now", metrics.running.clone());
        registry.register("queued", "ServerTypes that wait for others to be done", metrics.queued.clone());
        registry.register("retrying", "ServerTypes whose last run failed", metrics.retrying.clone());
        registry.register(
            "writes",
            "Changes sent to the API server, and those that were not needed",
            metrics.writes.clone(),
        );
        metrics
    }

    /// A run waits for its turn, until the guard is dropped.
    pub(crate) fn queue(&self) -> InProgress {
        InProgress::new(self.queued.clone())
    }

    /// A run is made, until the guard is dropped.
    pub(crate) fn run(&self) -> InProgress {
        InProgress::new(self.running.clone())
    }

    /// A run has ended.
    pub(crate) fn ran(&self, took: Duration, failure: Option<Failure>) {
        self.duration.observe(took.as_secs_f64());
        let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Done };
        self.runs.get_or_create(&Run { outcome }).inc();
        if let Some(reason) = failure {
            self.failures.get_or_create(&FailureReason { reason }).inc();
        }
    }

    /// So many objects wait to be tried again.
    pub(crate) fn retrying(&self, count: usize) {
        self.retrying.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Something was sent to the API server, or was not needed.
    pub(crate) fn wrote(&self, kind: &'static str, outcome: Outcome) {
        self.writes.get_or_create(&Write { kind, outcome }).inc();
    }
}

/// Counts in a gauge while it lives.
#[derive(Debug)]
pub(crate) struct InProgress(Gauge);

impl InProgress {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn what_is_counted_is_told_as_the_readme_says() {
        let mut registry = Registry::with_prefix("cereus_operator");
        let metrics = Metrics::new(&mut registry);
        metrics.ran(Duration::from_millis(3), Some(Failure::Conflict));
        metrics.wrote("Service", Outcome::Unchanged);
        metrics.retrying(4);
        let (_queued, _running) = (metrics.queue(), metrics.run());
        drop(metrics.queue());
        let mut told = String::new();
        text::encode(&mut told, &registry).unwrap();
        for line in [
            "runs_total{outcome=\"Failed\"} 1",
            "failures_total{reason=\"Conflict\"} 1",
            "duration_seconds_bucket{le=\"0.001\"} 0",
            "duration_seconds_bucket{le=\"0.005\"} 1",
            "running 1",
            "queued 1",
            "retrying 4",
            "writes_total{kind=\"Service\",outcome=\"Unchanged\"} 1",
        ] {
            assert!(told.contains(&format!("\ncereus_operator_reconcile_{line}\n")), "{line} is not in\n{told}");
            let name = line.split(['{', ' ']).next().unwrap().trim_end_matches("_bucket");
            assert!(include_str!("../../README.md").contains(&format!("`reconcile_{name}`")), "{name}");
        }
    }
}
