//! Whether servers of before still need what is not to be there any more. Pure.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::PodSpec};

use crate::controller::{fetch::Observed, kinds::Kind};

/// Whether a server may still be started with this object. A container that starts again reads the configuration file of its
/// pod, and a rollout that has not ended may make pods as they were before.
pub(super) fn is_needed(kind: Kind, name: &str, observed: &Observed) -> bool {
    if kind != Kind::ConfigMap {
        return false;
    }
    let Some(deployment) = &observed.deployment else { return true };
    let template = deployment.spec.template.spec.as_ref();
    let pods = observed.pods.iter().filter_map(|pod| pod.spec.as_ref());
    is_rolling_out(deployment) || template.into_iter().chain(pods).any(|pod| mounts(pod, name))
}

/// Whether Kubernetes may still make pods of an earlier template: until all that are to be are new ones and take messages it
/// replaces an old one that is lost by another old one.
fn is_rolling_out(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return true };
    let counts = [status.replicas, status.updated_replicas, status.available_replicas];
    let wanted = deployment.spec.replicas.unwrap_or(1);
    status.observed_generation < deployment.metadata.generation
        || counts.into_iter().any(|count| count.unwrap_or(0) != wanted)
}

fn mounts(pod: &PodSpec, config_map: &str) -> bool {
    let maps = pod.volumes.iter().flatten().filter_map(|volume| volume.config_map.as_ref());
    maps.into_iter().any(|map| map.name == config_map)
}
