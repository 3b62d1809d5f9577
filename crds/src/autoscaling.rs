//! Letting the number of servers follow the number of sessions.

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::DurationText;

/// Lets the number of servers follow the number of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.minReplicas <= self.maxReplicas")
        .message("must be at most maxReplicas")
        .field_path(".minReplicas"),
    validation = Rule::new("duration(self.scaleDownDelay) <= duration('24h')")
        .message("must be at most 24h")
        .field_path(".scaleDownDelay")
)]
pub struct Autoscaling {
    /// How many servers there are at least, from 1 to 10000; 1 when absent.
    #[serde(default = "Autoscaling::default_min_replicas")]
    #[schemars(range(min = 1, max = 10000))]
    pub min_replicas: i32,
    /// How many servers there are at most, from 1 to 10000 and not less than `minReplicas`.
    #[schemars(range(min = 1, max = 10000))]
    pub max_replicas: i32,
    /// How many sessions one server is to hold, at least 1: there are as many servers as are needed for that. What counts
    /// as one is told at `status.sessions`.
    #[schemars(range(min = 1))]
    pub sessions_per_replica: i32,
    /// For how long fewer servers must have been enough before one goes, from 0 to 24h; 5m when absent.
    #[serde(default = "Autoscaling::default_scale_down_delay")]
    pub scale_down_delay: DurationText,
}

impl Autoscaling {
    const fn default_min_replicas() -> i32 {
        1
    }

    /// Players who leave between two matches come back before that.
    const fn default_scale_down_delay() -> DurationText {
        DurationText::new(Duration::from_mins(5))
    }
}
