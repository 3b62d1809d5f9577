//! What every source of a topology has.

use std::fmt;

use futures_util::future::BoxFuture;
use serde::Serialize;

/// Keeps a [`Topology`](super::Topology) up to date. The watching ends when this is dropped; the last view stays.
pub trait Source: fmt::Debug + Send + Sync {
    /// Resolves when a complete view is shown. Until then the topology knows no server.
    fn synced(&self) -> BoxFuture<'_, ()>;

    /// How it is getting on.
    fn status(&self) -> SourceStatus;
}

/// How a source is getting on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SourceStatus {
    /// What kind it is: `directory` or `kubernetes`.
    pub source: &'static str,
    /// Which one: the folder, or the namespace.
    pub place: String,
    /// A complete view is shown.
    pub synced: bool,
    /// When the view was last known to be up to date, as RFC 3339 has it. A source that is told of every change by the
    /// operating system has nothing to say here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<String>,
    /// How long ago that was. A healthy API server says something once a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// How often everything was read anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lists: Option<u64>,
    /// Why the source is not followed at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
