//! What a pod tells of the server in it. Pure.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerState, Pod};

/// How long after a pod has to be gone it is taken for lost: a node that is busy, and clocks that differ.
const OVERDUE: SignedDuration = SignedDuration::from_mins(1);

/// Whether the server takes messages.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    says(pod, "Ready", "True")
}

/// Whether the pod was told to stop, and has not ended.
pub(crate) fn is_draining(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether the pod would have ended long ago if its node answered: the control plane counts no more on it, and its players
/// are elsewhere. What it was given to end is in the time that it has to be gone by.
pub(crate) fn is_lost(pod: &Pod, now: Timestamp) -> bool {
    pod.metadata
        .deletion_timestamp
        .as_ref()
        .is_some_and(|gone_by| now > gone_by.0.saturating_add(OVERDUE).unwrap_or(now))
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
