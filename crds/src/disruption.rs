//! How many servers the cluster may take away at a time.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How many servers the cluster may take away at a time for reasons of its own, such as the upgrade of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Disruption {
    /// How many servers may be away at a time: a number from 0, or a share of all such as `25%`. 1 when absent; with 0 no
    /// node on which such a server runs can be drained.
    #[serde(default = "Disruption::default_max_unavailable")]
    #[schemars(schema_with = "number_or_share")]
    pub max_unavailable: IntOrString,
}

impl Disruption {
    const fn default_max_unavailable() -> IntOrString {
        IntOrString::Int(1)
    }
}

impl Default for Disruption {
    fn default() -> Self {
        Self { max_unavailable: Self::default_max_unavailable() }
    }
}

/// The bound holds for numbers and the pattern for text.
fn number_or_share(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "title": "a number from 0, or a share from 0% to 100%",
        "minimum": 0,
        "pattern": "^(100|[0-9]{1,2})%$",
    })
}
