//! The Deployment, whose pods are the servers.

use cereus_crds::names;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::{ResourceExt as _, core::ObjectMeta};

use super::{
    BuildError, Desired,
    metadata::{Metadata, desired},
    pod, selector,
};
use crate::controller::{kinds::Kind, validate::Valid};

/// How many servers may be there beyond those that are to be, during a rollout.
const SURGE: &str = "25%";

/// How many `ReplicaSet`s that were replaced are kept for `kubectl rollout history`. What to return to is in the manifest's history.
const REVISIONS: i32 = 3;

/// The Deployment.
pub(super) fn deployment(
    valid: &Valid,
    replicas: i32,
    config: &Desired,
    metadata: &Metadata,
) -> Result<Desired, BuildError> {
    let name = valid.server_type.name_any();
    let spec = DeploymentSpec {
        replicas: Some(replicas),
        revision_history_limit: Some(REVISIONS),
        selector: selector(&name),
        strategy: Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            // A server goes only when its successor takes messages: while it drains it takes no new sessions.
            rolling_update: Some(RollingUpdateDeployment {
                max_unavailable: Some(IntOrString::Int(0)),
                max_surge: Some(IntOrString::String(SURGE.to_owned())),
            }),
        }),
        template: PodTemplateSpec {
            metadata: Some(pod_metadata(valid, metadata)),
            spec: Some(pod::spec(valid, config)),
        },
        ..DeploymentSpec::default()
    };
    let mut object = metadata.object(names::deployment(&name));
    object.labels = Some(metadata.labels_with_version());
    desired(Kind::Deployment, object, &Deployment { spec, ..Deployment::default() })
}

/// Ours win over those of the manifest.
fn pod_metadata(valid: &Valid, metadata: &Metadata) -> ObjectMeta {
    let template = &valid.server_type.spec.template;
    let mut labels = template.labels.clone();
    labels.extend(metadata.labels_with_version());
    let annotations = Some(template.annotations.clone()).filter(|annotations| !annotations.is_empty());
    ObjectMeta { labels: Some(labels), annotations, ..ObjectMeta::default() }
}
