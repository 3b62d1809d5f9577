//! What a pod tells of the server in it. Pure.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ContainerState, Pod};

/// Whether the server takes messages.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    says(pod, "Ready", "True")
}

/// Whether the pod was told to stop, and has not ended.
pub(crate) fn is_draining(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod is on a node, and its container is not there yet.
pub(crate) fn is_creating(pod: &Pod) -> bool {
    let reason = |state: &ContainerState| Some(state.waiting.as_ref()?.reason.as_deref()? == "ContainerCreating");
    states(pod).any(|state| reason(state).unwrap_or_default())
}

/// Whether nothing is known of the pod because its node does not answer. The node itself says of a pod that is not ready that
/// its containers are not; the control plane, for a node that is silent, changes only the former.
pub(crate) fn is_silent(pod: &Pod) -> bool {
    says(pod, "Ready", "False") && says(pod, "ContainersReady", "True")
}

/// Where the server can be asked: the pod has an address, and its container runs.
pub(crate) fn address(pod: &Pod) -> Option<IpAddr> {
    states(pod).find(|state| state.running.is_some())?;
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

fn says(pod: &Pod, condition: &str, status: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|one| one.type_ == condition && one.status == status)
}

fn states(pod: &Pod) -> impl Iterator<Item = &ContainerState> {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    containers.into_iter().flatten().filter_map(|container| container.state.as_ref())
}
