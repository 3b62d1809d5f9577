//! How many servers may be away at a time.

use cereus_crds::names;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use kube::ResourceExt as _;

use super::{BuildError, Desired, metadata::Metadata, metadata::desired, selector};
use crate::controller::{kinds::Kind, validate::Valid};

/// The PodDisruptionBudget.
pub(super) fn budget(valid: &Valid, metadata: &Metadata) -> Result<Desired, BuildError> {
    let name = valid.server_type.name_any();
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(valid.server_type.spec.disruption.max_unavailable.clone()),
        selector: Some(selector(&name)),
        // A server that never got ready holds no sessions: it must not keep a node from being drained.
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    let budget = PodDisruptionBudget { spec: Some(spec), ..PodDisruptionBudget::default() };
    desired(Kind::PodDisruptionBudget, metadata.object(names::disruption_budget(&name)), &budget)
}
