//! What the operator says of a server type.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::schema;

/// Most conditions: there are four kinds, and room for those of a newer release.
const MOST_CONDITIONS: usize = 16;

/// What is the case, as the operator last saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerTypeStatus {
    /// How many servers there are to be: `spec.replicas`, or what autoscaling chose. The choice is kept here and never
    /// written into the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32")]
    pub desired_replicas: Option<i32>,
    /// How many servers there are, without those that are draining.
    #[serde(default)]
    pub replicas: i32,
    /// How many servers take messages.
    #[serde(default)]
    pub ready_replicas: i32,
    /// How many servers run what the spec says now.
    #[serde(default)]
    pub updated_replicas: i32,
    /// How many servers are taking their leave.
    #[serde(default)]
    pub draining_replicas: i32,
    /// How many sessions the servers hold, of those that said so when they were last asked. With `protocol: pitaya`, how
    /// many sessions frontends keep to them: those with a message in flight, and all that the policy sticky has given
    /// them. Absent until it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub sessions: Option<i64>,
    /// The label selector of the servers' pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub selector: Option<String>,
    /// The version that is to run: the tag of the image, or the beginning of its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub version: Option<String>,
    /// The generation of the spec that this status tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// What is the case: `Ready` (all servers that are to be there take messages), `Progressing` (servers are being
    /// started, replaced or drained), `Degraded` (something is wrong, and the message says what to do) and `Paused`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
}

/// The names of the conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// All servers that are to be there take messages.
    Ready,
    /// Servers are being started, replaced or drained.
    Progressing,
    /// Something is wrong; the message says what to do.
    Degraded,
    /// The operator leaves the objects as they are.
    Paused,
}

impl ConditionType {
    /// The name as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::Paused => "Paused",
        }
    }
}

fn conditions(generator: &mut SchemaGenerator) -> Schema {
    schema::list_of::<Condition>(generator, "type", MOST_CONDITIONS, &[("type", 316), ("message", 32768)])
}
