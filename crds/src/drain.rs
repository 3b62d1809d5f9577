//! How a server takes its leave.

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::DurationText;

/// What the last of a server may take after its deadline: to finish handlers, flush, and stop its modules.
const STOPPING: Duration = Duration::from_secs(30);

/// The longest spread that is taken when none is given.
const SPREAD: Duration = Duration::from_secs(30);

/// How a server that is told to stop takes its leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.linger) <= duration('10m')")
        .message("must be at most 10m")
        .field_path(".linger"),
    validation = Rule::new("duration(self.deadline) <= duration('24h')")
        .message("must be at most 24h")
        .field_path(".deadline"),
    validation = Rule::new("duration(self.deadline) >= duration(self.linger)")
        .message(Message::Expression(
            "'must be at least drain.linger, which is ' + self.linger".to_owned()
        ))
        .field_path(".deadline"),
    validation = Rule::new("!has(self.spread) || duration(self.spread) <= duration(self.deadline)")
        .message(Message::Expression(
            "'must be at most drain.deadline, which is ' + self.deadline".to_owned()
        ))
        .field_path(".spread")
)]
pub struct Drain {
    /// How long a frontend still takes new clients, because load balancers learn late that it leaves: from 0 to 10m, 5s
    /// when absent.
    #[serde(default = "Drain::default_linger")]
    pub linger: DurationText,
    /// How long, after `linger`, sessions and calls may take to end by themselves; what is left then is closed. At least
    /// `linger` and at most 24h; 10m when absent. Pods get `linger`, `deadline` and 30s to end.
    #[serde(default = "Drain::default_deadline")]
    pub deadline: DurationText,
    /// Over how long, at the end of `deadline`, the sessions that are left are closed, so that they do not all connect to
    /// other servers at once. At most `deadline`. When absent 30s, or a quarter of the deadline if that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "DurationText")]
    pub spread: Option<DurationText>,
}

impl Drain {
    /// What load balancers need to see that a server leaves.
    const fn default_linger() -> DurationText {
        DurationText::new(Duration::from_secs(5))
    }

    /// Lets a match end.
    const fn default_deadline() -> DurationText {
        DurationText::new(Duration::from_mins(10))
    }

    /// Over how long the sessions that are left are closed.
    pub fn spread(&self) -> Duration {
        let deadline = self.deadline.get();
        self.spread.map_or_else(|| SPREAD.min(deadline / 4), DurationText::get).min(deadline)
    }

    /// How long a server may take from the first signal to its end; a pod's `terminationGracePeriodSeconds`.
    pub fn termination_grace(&self) -> Duration {
        self.linger.get().saturating_add(self.deadline.get()).saturating_add(STOPPING)
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { linger: Self::default_linger(), deadline: Self::default_deadline(), spread: None }
    }
}
