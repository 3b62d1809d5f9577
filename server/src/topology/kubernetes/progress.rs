//! How the watching is getting on, and what is to be said about it.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{super::source::SourceStatus, list_watch::Event};

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    EndpointSlices,
    ServerTypes,
}

/// Both kinds together.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// A complete view is shown.
    pub(super) is_synced: bool,
    slices: One,
    server_types: One,
    /// Since when not everything is watched, which has been said.
    outage: Option<Instant>,
}

/// One kind.
#[derive(Debug, Default)]
struct One {
    /// When the API server last said something about it.
    heard: Option<Instant>,
    lists: u64,
    trouble: Option<String>,
}

/// Something that whoever runs the servers should read, said once per outage.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// The cluster cannot be watched, and nothing is known of it yet.
    Waiting(String),
    /// It cannot be watched any more.
    Lost(String),
    /// It is watched again, after this time.
    Back(Duration),
}

impl Progress {
    /// Take note of what was told of a kind.
    pub(super) fn note(&mut self, kind: Kind, event: &Event, now: Instant) -> Option<Remark> {
        let one = match kind {
            Kind::EndpointSlices => &mut self.slices,
            Kind::ServerTypes => &mut self.server_types,
        };
        match event {
            Event::Trouble(cause) => {
                one.trouble = Some(cause.clone());
                if self.outage.is_some() {
                    return None;
                }
                self.outage = Some(now);
                let cause = cause.clone();
                return Some(if self.is_synced { Remark::Lost(cause) } else { Remark::Waiting(cause) });
            }
            // That it can be listed does not mean that it can be watched.
            Event::Listed(_) => one.lists += 1,
            Event::Changed(_) | Event::Removed(_) | Event::Current => one.trouble = None,
        }
        one.heard = Some(now);
        if self.trouble().is_some() {
            return None;
        }
        self.outage.take().map(|since| Remark::Back(now - since))
    }

    fn trouble(&self) -> Option<&String> {
        self.slices.trouble.as_ref().or(self.server_types.trouble.as_ref())
    }

    /// For the admin port.
    pub(super) fn status(&self, namespace: &str, now: Instant) -> SourceStatus {
        // The view is as old as the older of the two.
        let heard = self.slices.heard.zip(self.server_types.heard).map(|(one, other)| one.min(other));
        let age = heard.map(|heard| now.saturating_duration_since(heard));
        let last_sync = age.and_then(|age| SystemTime::now().checked_sub(age));
        SourceStatus {
            source: "kubernetes",
            place: namespace.to_owned(),
            synced: self.is_synced,
            last_sync: last_sync.map(|time| humantime::format_rfc3339_seconds(time).to_string()),
            age_seconds: age.map(|age| age.as_secs()),
            lists: Some(self.slices.lists + self.server_types.lists),
            trouble: self.trouble().cloned(),
        }
    }
}
